"""The canvas of a scene: reflectance, labels and heights that are painted together, so that labels are exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rsseg_edge.types import UInt8Array

FloatArray = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Rgb = Sequence[float] | FloatArray

# The labels of generated scenes, in the order of the table's row.
BUILDING, LAND, ROAD, VEGETATION, WATER = range(5)

# Polygons are drawn with 4 fractional bits, so that small objects keep their size and place.
_SHIFT = 4
_CORNERS = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


@dataclass
class Canvas:
    """A scene while it is painted.

    Attributes:
        image: float32 [H, W, 3], reflectance in 0..255 before light, haze and sensor.
        labels: uint8 [H, W].
        height: float32 [H, W], metres above the ground; shadows are cast from it.
        coarse, mid, fine: float32 [H, W], noise of unit variance with features of some 40 m, 6 m and one pixel.
        gsd: ground sampling distance, metres a pixel.
        rng: the one source of chance.
    """

    image: FloatArray
    labels: UInt8Array
    height: FloatArray
    coarse: FloatArray
    mid: FloatArray
    fine: FloatArray
    gsd: float
    rng: np.random.Generator

    @classmethod
    def blank(cls, height: int, width: int, gsd: float, rng: np.random.Generator) -> Canvas:
        """Bare land without colour."""
        shape = (height, width)
        return cls(
            image=np.zeros((*shape, 3), np.float32),
            labels=np.full(shape, LAND, np.uint8),
            height=np.zeros(shape, np.float32),
            coarse=fractal(rng, shape, 40 / gsd),
            mid=fractal(rng, shape, 6 / gsd),
            fine=cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (3, 3), 0.7) * 2,
            gsd=gsd,
            rng=rng,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def radius(self) -> float:
        """Half of the diagonal, in metres."""
        return float(np.hypot(*self.shape)) * self.gsd / 2

    def to_pixels(self, points: Points) -> Points:
        """Metres from the centre of the scene to pixels, [..., 2] as x, y."""
        pixels: Points = points / self.gsd + (self.labels.shape[1] / 2, self.labels.shape[0] / 2)
        return pixels

    def label_at(self, point: Points) -> int:
        """Label at a place in metres; -1 outside."""
        height, width = self.labels.shape
        x, y = math.floor(point[0] / self.gsd + width / 2), math.floor(point[1] / self.gsd + height / 2)
        return int(self.labels[y, x]) if 0 <= x < width and 0 <= y < height else -1

    def outside(self, center: Points, reach: float) -> bool:
        """Whether nothing within ``reach`` metres of a place is on the canvas."""
        height, width = self.labels.shape
        x, y = abs(float(center[0])) - reach, abs(float(center[1])) - reach
        return bool(x > width / 2 * self.gsd or y > height / 2 * self.gsd)

    def flat(self, polygon: Points, color: Rgb, label: int | None = None, height: float | None = None) -> None:
        """Fill a small polygon (metres) with one colour; label and height stay where none is given."""
        corners = _fixed(self.to_pixels(polygon))
        cv2.fillPoly(self.image, [corners], tuple(map(float, color)), cv2.LINE_8, _SHIFT)
        if label is not None:
            cv2.fillPoly(self.labels, [corners], label, cv2.LINE_8, _SHIFT)
        if height is not None:
            cv2.fillPoly(self.height, [corners], height, cv2.LINE_8, _SHIFT)

    def region(self, polygon: Points) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]] | None:
        """The part of the canvas that a polygon (metres) covers: slices and a mask in them, without the water."""
        pixels = self.to_pixels(polygon)
        x0, y0 = np.maximum(np.floor(pixels.min(axis=0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 1, (self.shape[1], self.shape[0]))
        if x0 >= x1 or y0 >= y1:
            return None
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [_fixed(pixels - (x0, y0))], 1, cv2.LINE_8, _SHIFT)
        window = slice(int(y0), int(y1)), slice(int(x0), int(x1))
        return window, (mask > 0) & (self.labels[window] != WATER)

    def cover(
        self, window: tuple[slice, slice], mask: npt.NDArray[np.bool_], color: FloatArray, label: int | None
    ) -> None:
        """Put flat ground of a colour [3], or of one for every pixel [h, w, 3], on the masked pixels of a window."""
        np.copyto(self.image[window], color, where=mask[..., None])
        self.height[window][mask] = 0  # what stood there is gone, and its shadow with it
        if label is not None:
            self.labels[window][mask] = label


def fractal(rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int = 3) -> FloatArray:
    """Noise of zero mean and unit variance, float32 [H, W], whose largest features span ``cell`` pixels."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        grid = rng.standard_normal((int(shape[0] / step) + 4, int(shape[1] / step) + 4), dtype=np.float32)
        # The grid is laid at a random place below the pixels, else every scene has a feature in its corner.
        dx, dy = rng.uniform(0, 1, 2)
        place = np.array([[1 / step, 0, 1 + dx], [0, 1 / step, 1 + dy]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        total += cv2.warpAffine(grid, place, (shape[1], shape[0]), flags=flags) * 0.55**octave
    return np.asarray((total - total.mean()) / (total.std() + 1e-6), np.float32)


def rectangle(center: Points, size: tuple[float, float], angle: float) -> Points:
    """Corners [4, 2] of a rectangle of ``size`` along and across ``angle`` (radians)."""
    cos, sin = math.cos(angle) / 2, math.sin(angle) / 2
    axes = np.array([[size[0] * cos, size[0] * sin], [-size[1] * sin, size[1] * cos]])
    return np.asarray(center + _CORNERS @ axes)


def vary(rng: np.random.Generator, color: Rgb, spread: float = 8.0) -> FloatArray:
    """A colour near this one: brightness and, less, hue differ. ``spread`` is in units of 0..255."""
    change = spread * rng.standard_normal() + spread / 4 * rng.standard_normal(3)
    return np.minimum(np.maximum(color + change, 0), 255).astype(np.float32)


def pick(rng: np.random.Generator, colors: Sequence[Rgb]) -> Rgb:
    """One of these colours."""
    return colors[int(rng.integers(len(colors)))]


def _fixed(pixels: Points) -> npt.NDArray[np.int32]:
    return np.round((pixels - 0.5) * (1 << _SHIFT)).astype(np.int32)
