"""Which source reads an INPUT: chosen by what it is."""

from __future__ import annotations

import glob
from pathlib import Path

from rsseg_edge.errors import UsageError
from rsseg_edge.sources.base import Selection, Source
from rsseg_edge.sources.images import SUFFIXES, ImageFiles
from rsseg_edge.sources.stream import LiveStream, is_stream
from rsseg_edge.types import Report


def open_source(where: str, selection: Selection, *, threads: int, report: Report, transport: str = "tcp") -> Source:
    """Open a video file, an image, a folder of images, a glob of images, or a live stream.

    Args:
        where: a path, a pattern with ``*``, ``?``, ``[]``, or ``**`` for any depth, or what
            :func:`rsseg_edge.sources.stream.is_stream` takes.
        selection: which frames are wanted.
        threads: cores that a video decoder may use.
        report: told about what is left out because it cannot be read.
        transport: of RTSP, "tcp" or "udp".

    Raises:
        UsageError: nothing is there, or a folder or glob holds no images.
        RssegError: a file that is there cannot be opened.
    """
    if is_stream(where):
        return LiveStream(where, selection, threads=threads, report=report, transport=transport)
    path = Path(where)
    if path.is_dir():
        return _images(sorted(path.iterdir()), f"folder {where}", selection, report)
    if not path.exists():
        if not glob.has_magic(where):
            raise UsageError(f"no such file or folder: {where}")
        found = sorted(Path(name) for name in glob.glob(where, recursive=True))
        return _images(found, f"pattern {where}", selection, report)
    if path.suffix.lower() in SUFFIXES:
        return _images([path], where, selection, None)
    from rsseg_edge.sources.video import VideoFile

    return VideoFile(path, selection, threads=threads, report=report)


def _images(paths: list[Path], what: str, selection: Selection, report: Report | None) -> ImageFiles:
    images = [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not images:
        raise UsageError(f"{what}: no images in it ({', '.join(sorted(SUFFIXES))})")
    if selection.start or selection.end is not None:
        raise UsageError("--start and --end are seconds of a video; for images use --stride and --max-frames")
    return ImageFiles(images, selection, report=report)
