"""Still images: a file, a folder of them, or a glob."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rsseg_edge.errors import RssegError
from rsseg_edge.sources.base import Selection
from rsseg_edge.types import Frame, Report, UInt8Array, VideoFormat

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})


def read_image(path: Path) -> UInt8Array:
    """Decode an image file upright (EXIF orientation applied), without its alpha channel.

    Returns:
        uint8 [H, W, 3] RGB.

    Raises:
        RssegError: the file cannot be read, is no image, or is not 8-bit colour.
    """
    import cv2

    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise RssegError(f"cannot read {path}: {error.strerror}") from None
    try:
        image = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH) if data.size else None
    except cv2.error:  # a header that promises more pixels than OpenCV accepts
        image = None
    if image is None:
        raise RssegError(f"{path}: not an image that can be decoded, or cut short")
    if image.dtype != np.uint8:
        bits = image.dtype.itemsize * 8
        raise RssegError(f"{path}: {bits} bits a channel, but the models take 8; scale it to 0..255 first")
    if image.ndim == 2:
        raise RssegError(f"{path}: one channel, but the models take RGB colour; merge the bands first")
    rgb: UInt8Array = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb


class ImageFiles:
    """Image files, one frame each. A file that cannot be read is reported and left out.

    Args:
        paths: the files, in order.
        selection: ``stride`` and ``max_frames`` apply.
        report: told about every file that is left out; None makes the first one an error.
    """

    video: VideoFormat | None = None

    def __init__(self, paths: Sequence[Path], selection: Selection, *, report: Report | None = None) -> None:
        names = output_names(paths)
        chosen = list(enumerate(zip(paths, names, strict=True)))[:: selection.stride]
        self._chosen = chosen[: selection.max_frames]
        self._report = report

    @property
    def expected(self) -> int | None:
        """How many files there are."""
        return len(self._chosen)

    def frames(self) -> Iterator[Frame]:
        """See :class:`rsseg_edge.sources.base.Source`."""
        for index, (path, name) in self._chosen:
            try:
                image = read_image(path)
            except RssegError as error:
                if self._report is None:
                    raise
                self._report(str(error))
                continue
            yield Frame(image, index, name)

    def stop(self) -> None:
        """The next image is never waited for."""

    def close(self) -> None:
        """Nothing stays open between two images."""


def output_names(paths: Sequence[Path]) -> list[str]:
    """What the outputs of each file are called: its stem, made longer where two files would share it.

    >>> output_names([Path("a/1.png"), Path("b/1.png"), Path("b/2.png"), Path("b/2.jpg")])
    ['a_1', 'b_1', '2.png', '2.jpg']
    """
    candidates = [
        (p.stem, p.name, f"{p.parent.name}_{p.stem}", f"{p.parent.name}_{p.name}", f"{i:06d}_{p.name}")
        for i, p in enumerate(paths)
    ]
    used = Counter(name for names in candidates for name in dict.fromkeys(names))
    return [next((name for name in names if used[name] == 1), names[-1]) for names in candidates]
