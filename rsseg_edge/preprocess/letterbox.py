"""Letterbox: an image scaled into the middle of a square, and masks brought back from there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rsseg_edge.types import UInt8Array


def letterbox(image: UInt8Array, size: int, border: tuple[int, int, int]) -> UInt8Array:
    """Scale uint8 [H, W, 3] bicubically to touch two sides of a square, uint8 [size, size, 3], on a colour around it.

    Images that shrink are averaged first, down to less than twice the size: interpolation alone would skip pixels.
    """
    import cv2

    height, width = image.shape[:2]
    shrink = 2 ** int(np.log2(max(1.0, max(height, width) / size)))
    if shrink > 1:
        height, width = (max(1, round(side / shrink)) for side in (height, width))
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    forth = _to_square(height, width, size)
    # Not border as the warp's own: it would bleed into the image, as far as a pixel of a small one is enlarged.
    flags = {"flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REPLICATE}
    square = np.asarray(cv2.warpAffine(image, forth, (size, size), **flags), np.uint8)
    scale = size / max(height, width)
    top, left = (round((size - scale * side) / 2) for side in (height, width))
    square[:top], square[size - top :], square[:, :left], square[:, size - left :] = (border,) * 4
    return square


def from_letterbox(values: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Values over the square, float32 [h, h], bilinearly at every pixel of an image of H x W: float32 [H, W]."""
    import cv2

    forth = _to_square(height, width, values.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    image = cv2.warpAffine(values, forth, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(image, np.float32)


def _to_square(height: int, width: int, size: int) -> npt.NDArray[np.float64]:
    """Affine map [2, 3] from pixels of the image to those of the square, both counted from the middle of the first."""
    scale = size / max(height, width)
    # A pixel's middle lies half a pixel from the edge: edges map to edges.
    offset = (np.array([size, size]) - scale * np.array([width, height])) / 2 + scale / 2 - 0.5
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
