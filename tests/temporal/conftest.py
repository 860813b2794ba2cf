"""Pictures with something to hold on to, whose motion is known."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def ground() -> Callable[..., np.ndarray]:
    """See :func:`_ground`."""
    return _ground


def _ground(seed: int, height: int = 300, width: int = 500) -> np.ndarray:
    """uint8 [height, width]: blobs and edges of many sizes, as of a scene seen from above."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width), np.float32)
    for scale in (4, 12, 40):
        noise = rng.normal(size=(height // scale + 2, width // scale + 2)).astype(np.float32)
        picture += scale**0.5 * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        y, x = rng.integers(0, height), rng.integers(0, width)
        cv2.rectangle(picture, (int(x), int(y)), (int(x + 14), int(y + 9)), float(rng.normal(0, 12)), cv2.FILLED)
    low, high = picture.min(), picture.max()
    return np.asarray(255 * (picture - low) / (high - low), np.uint8)
