"""Where the windows of a sliding window lie."""

from __future__ import annotations


def windows(length: int, crop: int, stride: int) -> list[tuple[int, int]]:
    """Start and end of each window along an axis, in pixels.

    The last window is pulled back inside; an axis no longer than ``crop`` is one window.
    """
    count = -(-max(length - crop, 0) // stride) + 1
    ends = [min(i * stride + crop, length) for i in range(count)]
    return [(max(end - crop, 0), end) for end in ends]


def pad_to_multiple(length: int, multiple: int) -> tuple[int, int]:
    """Pixels before and after that make ``length`` a multiple, the content centred: (before, after)."""
    missing = -length % multiple
    return missing // 2, missing - missing // 2
