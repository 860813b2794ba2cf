"""From reflectance to a picture: cast shadows, haze, colour of the light, optics and noise of the camera."""

from __future__ import annotations

import cv2
import numpy as np

from rsseg_edge.datasets.scenes.buildings import Sun
from rsseg_edge.datasets.scenes.canvas import Canvas, FloatArray
from rsseg_edge.types import UInt8Array


def expose(canvas: Canvas, sun: Sun) -> UInt8Array:
    """The picture, uint8 [H, W, 3] RGB."""
    rng = canvas.rng
    skylight = np.array([0.3, 0.34, 0.42], np.float32) * rng.uniform(0.55, 1.15)
    shade = cast_shadows(canvas.height, sun, canvas.gsd)[..., None]
    picture = canvas.image * (1 - shade * (1 - skylight))
    sigma = rng.uniform(0.35, 0.9)  # the optics: fine edges spread over a pixel or two
    picture = cv2.transform(cv2.GaussianBlur(picture, (5, 5), sigma), _color_response(rng))
    picture += rng.standard_normal(canvas.shape, dtype=np.float32)[..., None] * np.float32(rng.uniform(0.5, 4))
    levels = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    gamma = 255 * (np.arange(256) / 255) ** rng.uniform(0.8, 1.25)
    return np.asarray(cv2.LUT(levels, np.round(gamma).astype(np.uint8)), np.uint8)


def _color_response(rng: np.random.Generator) -> FloatArray:
    """Tint and strength of the light, saturation of the camera and haze as one affine map of RGB, float32 [3, 4]."""
    # Light is warmer or colder, hardly ever greener: bare land must not turn into grass.
    warmth, green = rng.normal(0, 0.035), rng.normal(0, 0.008)
    tint = np.diag([1 + warmth, 1 + green, 1 - warmth]) * rng.uniform(0.75, 1.2)
    saturation = rng.uniform(0.6, 1.25)
    mix = np.full((3, 3), (1 - saturation) / 3) + np.eye(3) * saturation
    haze = np.array([0.9, 0.96, 1.08]) * rng.uniform(0, 45)
    return np.column_stack([mix @ tint, haze]).astype(np.float32)


def cast_shadows(height: FloatArray, sun: Sun, gsd: float) -> FloatArray:
    """Share of the sun that is blocked, float32 [H, W] in 0..1.

    Args:
        height: float32 [H, W], metres.
        sun: above the horizon.
        gsd: metres a pixel.
    """
    fall = gsd * float(np.tan(sun.elevation))  # metres that a ray drops by on its way across one pixel
    reach = min(int(height.max() / fall) + 1, max(height.shape) - 1)
    blocked = np.zeros_like(height)
    for step in range(1, reach + 1):
        dx, dy = np.round(sun.towards * step).astype(int)
        here, there = _overlap(height.shape[0], dy), _overlap(height.shape[1], dx)
        ray = height[here[1], there[1]] - np.float32(step * fall)
        target = blocked[here[0], there[0]]
        np.maximum(target, ray - height[here[0], there[0]], out=target)
    # Half a metre below the edge of the shadow is full shade: the sun is a disc, and edges are not razors.
    return np.asarray(cv2.GaussianBlur(np.clip(blocked * 2, 0, 1), (3, 3), 0.6), np.float32)


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    """Where a pixel and its neighbour ``shift`` further on both lie inside: slices of the first and of the second."""
    return slice(max(0, -shift), size - max(0, shift)), slice(max(0, shift), size - max(0, -shift))
