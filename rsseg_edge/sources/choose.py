"""Which source reads an INPUT: chosen by what it is."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from rsseg_edge.errors import UsageError
from rsseg_edge.sources.base import Selection, Source
from rsseg_edge.sources.images import SUFFIXES, ImageFiles
from rsseg_edge.sources.stream import LiveStream, is_stream
from rsseg_edge.sources.video import VideoFile
from rsseg_edge.types import Report


def open_source(
    where: str,
    selection: Selection,
    *,
    threads: int,
    report: Report,
    transport: str = "tcp",
    also: Sequence[str] = (),
    latest: bool = False,
) -> Source:
    """Open a video file, an image, a folder of images, a glob of images, or a live stream.

    Args:
        where: a path, a pattern with ``*``, ``?``, ``[]``, or ``**`` for any depth, or what
            :func:`rsseg_edge.sources.stream.is_stream` takes.
        selection: which frames are wanted.
        threads: cores that a video decoder may use.
        report: told about what is left out because it cannot be read.
        transport: of RTSP, "tcp" or "udp".
        also: where ``where`` names still images, more of them.
        latest: the newest frame alone is taken of standard input, as of any live stream; otherwise every one.

    Raises:
        UsageError: nothing is there, a folder or glob holds no images, or ``latest`` for what is not standard input.
        RssegError: a file that is there cannot be opened.
    """
    if latest and where != "-":
        raise UsageError(f"--latest is for standard input, -; {where} is a file, or live and shows the newest anyway")
    if where == "-" and not latest:
        return VideoFile(None, selection, threads=threads, report=report)
    if is_stream(where):
        return LiveStream(where, selection, threads=threads, report=report, transport=transport)
    found = [_stills(given) for given in (where, *also)]
    if found[0] is not None:
        paths = [path for files in found for path in files or ()]
        return _images(paths, selection, None if len(found) == 1 and found[0] == [Path(where)] else report)
    return VideoFile(Path(where), selection, threads=threads, report=report)


def _stills(where: str) -> list[Path] | None:
    """The images that an input names; None where it is no image, folder or pattern."""
    if not where:  # what a variable of a shell holds that nobody set; pathlib takes it for the folder here
        raise UsageError("the input's name is empty; . is the folder here")
    path = Path(where)
    if path.is_dir():
        return _pictures(sorted(path.iterdir()), f"folder {where}")
    if not path.exists():
        if not glob.has_magic(where):
            raise UsageError(f"no such file or folder: {where}")
        return _pictures(sorted(Path(name) for name in glob.glob(where, recursive=True)), f"pattern {where}")
    return [path] if path.suffix.lower() in SUFFIXES else None


def _pictures(paths: list[Path], what: str) -> list[Path]:
    images = [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not images:
        raise UsageError(f"{what}: no images in it ({', '.join(sorted(SUFFIXES))})")
    return images


def _images(paths: list[Path], selection: Selection, report: Report | None) -> ImageFiles:
    if selection.start or selection.end is not None:
        raise UsageError("--start and --end are seconds of a video; for images use --stride and --max-frames")
    return ImageFiles(list(dict.fromkeys(paths)), selection, report=report)
