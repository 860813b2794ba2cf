"""A clip: a camera that drifts and turns slowly over one scene. How tests get aerial video with exact labels."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from rsseg_edge.datasets.sample import Sample
from rsseg_edge.datasets.scenes.scene import generate_scene


def generate_clip(seed: int, frames: int, height: int, width: int, *, gsd: float = 0.5) -> Iterator[Sample]:
    """Frames of one flight over one scene, each with its labels, some 3 pixels and half a degree apart.

    Args:
        seed: any integer from 0; it fixes the scene and the flight.
        frames: how many; a longer clip goes on along the same circle.
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        gsd: ground sampling distance, metres a pixel.

    Yields:
        Samples named ``scene_SEED_FRAME``.
    """
    diagonal = float(np.hypot(height, width))
    radius = max(12.0, 0.25 * diagonal)  # of the circle that the camera follows, in pixels
    side = int(np.ceil(diagonal + 2 * radius)) + 4
    scene = generate_scene(seed, side, side, gsd=gsd)
    turn, step = np.random.default_rng((seed, 2)).choice((-1, 1), 2) * (0.5, 3 / radius)
    for frame in range(frames):
        flown = frame * step
        x, y = side / 2 + radius * np.cos(flown), side / 2 + radius * np.sin(flown)
        camera = cv2.getRotationMatrix2D((x, y), float(turn * frame), 1.0)
        camera[:, 2] += (width / 2 - x, height / 2 - y)
        image = cv2.warpAffine(scene.image, camera, (width, height), flags=cv2.INTER_LINEAR)
        labels = cv2.warpAffine(scene.labels, camera, (width, height), flags=cv2.INTER_NEAREST)
        yield Sample(np.asarray(image, np.uint8), np.asarray(labels, np.uint8), f"{scene.name}_{frame:05d}")
