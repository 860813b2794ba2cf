"""What a network gave at its own size, at the size of the picture that it was made from."""

from __future__ import annotations

import numpy as np

from rsseg_edge.types import ClassTable, Segmentation, UInt8Array


def enlarge(class_map: UInt8Array, height: int, width: int) -> UInt8Array:
    """Scale a class map up, edges smooth: each pixel takes the class with the largest share after interpolation.

    Args:
        class_map: uint8 [h, w].
        height: of the result, in pixels.
        width: of the result, in pixels.

    Returns:
        uint8 [height, width]; between equal shares the first class wins.
    """
    import cv2

    first, *others = np.flatnonzero(np.bincount(class_map.ravel())).tolist()
    result = np.full((height, width), first, np.uint8)
    if not others:
        return result
    best = cv2.resize(cv2.compare(class_map, first, cv2.CMP_EQ), (width, height))
    for index in others:
        share = cv2.resize(cv2.compare(class_map, index, cv2.CMP_EQ), (width, height))
        result = cv2.copyTo(np.full_like(result, index), cv2.compare(share, best, cv2.CMP_GT), result)
        best = cv2.max(best, share, best)
    return np.asarray(result, np.uint8)


def at_size_of(image: UInt8Array, class_map: UInt8Array, confidence: UInt8Array, table: ClassTable) -> Segmentation:
    """The segmentation of an image, uint8 [H, W, 3], whose class map and confidence, uint8 [h, w], may be smaller."""
    import cv2

    height, width = image.shape[:2]
    if class_map.shape != (height, width):
        class_map = enlarge(np.ascontiguousarray(class_map), height, width)
        confidence = np.asarray(cv2.resize(confidence, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return Segmentation(class_map, confidence, table)
