"""The CPU kernel without a runtime: for shares that are blended of many runs of a network."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from rsseg_edge.kernels.registry import ort_library

Shares = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


def upsample_decide(shares: Shares) -> tuple[Bytes, Bytes] | None:
    """See :func:`rsseg_edge.kernels.upsample_decide.reference.upsample_decide`; on the thread that calls.

    Args:
        shares: float32 [K, h, w], K from 1 to 256.

    Returns:
        Class map and confidence, uint8 [4h, 4w] each; None where the library was not compiled.

    Raises:
        MemoryError: there was none for a row of the shares.
    """
    kernel = _kernel()
    if kernel is None:
        return None
    classes, height, width = shares.shape
    if not 1 <= classes <= 256 or not height or not width:
        raise ValueError(f"shares {shares.shape}")
    shares = np.ascontiguousarray(shares, np.float32)
    class_map, confidence = (np.empty((4 * height, 4 * width), np.uint8) for _ in range(2))
    if not kernel(shares.ctypes.data, class_map.ctypes.data, confidence.ctypes.data, classes, height, width):
        raise MemoryError(f"none for {4 * classes * width} bytes")
    return class_map, confidence


@cache
def _kernel() -> Callable[..., bool] | None:
    library = ort_library()
    if library is None:
        return None
    function = ctypes.CDLL(str(library)).rsseg_upsample_decide
    function.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_size_t] * 3
    function.restype = ctypes.c_bool
    return function
