"""Class maps for the tests of polygons."""

from __future__ import annotations

import numpy as np

from ..blobs import blobs


def class_map(height: int, width: int, seed: int = 0) -> np.ndarray:
    found = (blobs(height, width, seed, 9)[0] // 64).astype(np.uint8)
    found[height // 3 : height // 2, width // 4 : width // 2] = 255
    found[::7, -1] = 255
    return found


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), (height, width))


def blocks(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise of larger pixels: lines that are long enough to become fewer, and regions that touch at corners."""
    return np.kron(noise(-(-height // 5), -(-width // 5), seed), np.ones((5, 5), np.uint8))[:height, :width].copy()
