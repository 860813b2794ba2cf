"""What an image must be."""

from __future__ import annotations

import numpy as np

from rsseg_edge.errors import UsageError
from rsseg_edge.types import UInt8Array


def check_image(image: UInt8Array) -> None:
    """Refuse what is no image.

    Raises:
        UsageError: it is not uint8 [H, W, 3], or empty.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        what = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UsageError(f"an image is a uint8 array [H, W, 3] in RGB, not {what}")
    if 0 in image.shape:
        raise UsageError(f"the image is empty: {list(image.shape)}")
