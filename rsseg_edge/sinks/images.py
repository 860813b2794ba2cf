"""PNG files: the overlay of each still image, and class maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rsseg_edge.errors import RssegError
from rsseg_edge.sinks.base import Sink
from rsseg_edge.sinks.part_file import write_file
from rsseg_edge.types import Frame, Result, Segmentation, UInt8Array


class OverlayImages(Sink):
    """``NAME.overlay.png`` for every image: RGB, the size of the image, with its legend.

    Args:
        folder: where they go.
        draw: the overlay of an image, uint8 [H, W, 3] RGB, and its segmentation.
    """

    def __init__(self, folder: Path, draw: Callable[[UInt8Array, Segmentation], UInt8Array]) -> None:
        self._folder, self._draw = folder, draw

    def write(self, result: Result) -> None:
        """Write one overlay, whole."""
        drawn = self._draw(result.frame.image, result.segmentation)
        write_png(self._folder / f"{result.frame.name}.overlay.png", drawn[..., ::-1])


class ClassMaps(Sink):
    """One 8-bit grey PNG a frame whose values are class indices, at the size of the frame.

    Args:
        name: the file of a frame.
        sync: see :func:`write_png`.
    """

    def __init__(self, name: Callable[[Frame], Path], *, sync: bool = True) -> None:
        self._name, self._sync = name, sync

    def write(self, result: Result) -> None:
        """Write one class map, whole."""
        write_png(self._name(result.frame), result.segmentation.class_map, sync=self._sync)


def write_png(path: Path, image: UInt8Array, *, sync: bool = True) -> None:
    """Encode and write a PNG.

    Args:
        path: the file.
        image: see :func:`encode_png`.
        sync: wait for the disk; a thousand class maps of a video are not worth that.

    Raises:
        RssegError: the file system refuses, or the image is too large for a PNG.
    """
    write_file(path, encode_png(path, image), sync=sync)


def encode_png(path: Path, image: UInt8Array) -> bytes:
    """An image as PNG.

    Args:
        path: what an error names.
        image: uint8 [H, W] grey or [H, W, 3] BGR.

    Raises:
        RssegError: the image is too large for a PNG.
    """
    import cv2
    import numpy as np

    # Level 1 with run lengths is four times as fast as OpenCV's default on class maps, and 10 % larger.
    strategy = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    try:
        _, data = cv2.imencode(".png", np.ascontiguousarray(image), strategy if image.ndim == 2 else [])
    except cv2.error as error:
        raise RssegError(f"cannot write {path}: {error.err}") from None
    return bytes(data)
