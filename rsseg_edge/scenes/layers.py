"""The pixels of a scene that is at work, on disk."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsseg_edge.errors import RssegError
from rsseg_edge.sinks.part_file import named_errors
from rsseg_edge.types import UInt8Array

LAYERS = ("classes", "confidence")
"""Of every scene. With ``--probabilities`` one of each class follows, see :func:`layer_names`."""


def layer_names(probabilities: int) -> tuple[str, ...]:
    """The layers of a scene with the probabilities of so many classes."""
    return (*LAYERS, *(f"probability{index}" for index in range(probabilities)))


class Layers:
    """The class map and confidence of a whole scene as bare bytes, written in bands. Any process may write a band.

    Args:
        folder: where they lie.
        height: of the scene, in pixels.
        width: of the scene.
        names: of the layers.
    """

    def __init__(self, folder: Path, height: int, width: int, names: Sequence[str] = LAYERS) -> None:
        self.folder, self.height, self.width, self.names = folder, height, width, tuple(names)

    def path(self, layer: str) -> Path:
        """The file of a layer: uint8 [height, width]."""
        return self.folder / f"{layer}.u8"

    def create(self) -> None:
        """Make empty files of the full size; those that are there stay.

        Raises:
            RssegError: the file system refuses.
        """
        for layer in self.names:
            with named_errors(self.path(layer)), self.path(layer).open("ab") as file:
                file.truncate(self.height * self.width)

    def write(self, top: int, rows: Sequence[UInt8Array], before: Sequence[int] = ()) -> tuple[int, ...]:
        """Write rows of every layer. They are on the disk after :meth:`sync`.

        Args:
            top: first row.
            rows: uint8 [n, width] of each layer.
            before: checksums of the rows before these, of each layer, where theirs are to go on from those.

        Returns:
            Their checksums.

        Raises:
            RssegError: the file system refuses.
        """
        for layer, part in zip(self.names, rows, strict=True):
            with named_errors(self.path(layer)), self.path(layer).open("r+b") as file:
                file.seek(top * self.width)
                file.write(np.ascontiguousarray(part).data)
        starts = before or (0,) * len(rows)
        return tuple(zlib.crc32(np.ascontiguousarray(part).data, crc) for part, crc in zip(rows, starts, strict=True))

    def sync(self) -> None:
        """Wait until what was written is on the disk.

        Raises:
            RssegError: the file system refuses.
        """
        for layer in self.names:
            with named_errors(self.path(layer)), self.path(layer).open("r+b") as file:
                os.fsync(file.fileno())

    def read(self, layer: str, top: int, bottom: int) -> UInt8Array:
        """Rows of a layer: uint8 [bottom - top, width].

        Raises:
            RssegError: they cannot be read.
        """
        try:
            values = np.fromfile(self.path(layer), np.uint8, (bottom - top) * self.width, offset=top * self.width)
        except OSError as error:
            raise RssegError(f"cannot read {self.path(layer)}: {error.strerror}") from None
        if values.size != (bottom - top) * self.width:
            raise RssegError(f"{self.path(layer)} was cut short; delete {self.folder}")
        return values.reshape(bottom - top, self.width)
