"""Pictures whose outlines turn every way."""

import numpy as np


def blobs(height: int, width: int, seed: int = 0, size: int = 40) -> np.ndarray:
    """uint8 [3, height, width]: soft blobs of about ``size`` pixels."""
    import cv2

    rng = np.random.default_rng(seed)
    small = rng.uniform(0, 255, (height // size + 3, width // size + 3, 3)).astype(np.float32)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8).transpose(2, 0, 1)
