"""Frames that show their own number, so that whoever gets one knows which it is; and a network that reads them."""

from __future__ import annotations

import numpy as np

from rsseg_edge.bundle import InputSpec
from rsseg_edge.types import ClassTable, Segmentation, UInt8Array

SIDE, BITS = 64, 16  # of a frame, pixels; of its number
SQUARE = SIDE // 4


def picture(number: int) -> UInt8Array:
    """uint8 [SIDE, SIDE]: a bright square for each bit that is set."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8).reshape(4, 4)
    return np.kron(40 + 180 * bits, np.ones((SQUARE, SQUARE), np.uint8)).astype(np.uint8)


def number(grey: UInt8Array, threshold: float) -> int:
    """The number that a picture, or a class map, shows."""
    means = grey.reshape(4, SQUARE, 4, SQUARE)[:, 4:-4, :, 4:-4].mean((1, 3)).ravel()
    return int(((means > threshold).astype(np.int64) << np.arange(BITS)).sum())


class Squares:
    """A network that costs nothing: what is bright is one class."""

    spec, long_side = InputSpec(), SIDE
    table = ClassTable(("dark", "bright"), ((9, 9, 9), (200, 0, 0)))
    classes = table.names

    def prepare(self, image: UInt8Array) -> UInt8Array:
        return image

    def infer(self, prepared: UInt8Array) -> UInt8Array:
        return prepared

    def finish(self, image: UInt8Array, raw: UInt8Array) -> Segmentation:
        return Segmentation((raw[..., 0] > 128).astype(np.uint8), raw[..., 1].copy(), self.table)

    def __call__(self, image: UInt8Array) -> Segmentation:
        return self.finish(image, image)

    def close(self) -> None:
        pass
