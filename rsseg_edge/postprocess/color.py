"""Colours of a drawing in the colour space of a video."""

from __future__ import annotations

import numpy as np

from rsseg_edge.types import ColorTags, UInt8Array

# Weights of red and blue in luma, by MatrixCoefficients of ITU-T H.273. Everything else is taken for BT.601, as
# FFmpeg takes it.
_KR_KB = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)


def rgb_to_ycbcr(rgb: UInt8Array, color: ColorTags) -> UInt8Array:
    """8-bit Y, Cb, Cr of 8-bit R, G, B (ITU-T H.273, equations for non-constant luminance).

    Args:
        rgb: uint8 [..., 3].
        color: the matrix and the range; the transfer function is not applied.

    Returns:
        uint8 [..., 3].
    """
    kr, kb = _KR_KB.get(color.matrix, _BT601)
    red, green, blue = np.moveaxis(rgb.astype(np.float64) / 255, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    if color.full_range:
        values = np.stack([255 * luma, 255 * cb + 128, 255 * cr + 128], -1)
    else:
        values = np.stack([219 * luma + 16, 224 * cb + 128, 224 * cr + 128], -1)
    result: UInt8Array = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return result
