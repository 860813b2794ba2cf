"""Colours for classes that nobody chose one for."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

Color = tuple[int, int, int]


def distinct_colors(names: Sequence[str], known: Mapping[str, Color]) -> tuple[Color, ...]:
    """A colour for each name: its known one, else hues a golden section apart, so that neighbours differ."""
    colors = []
    for index, name in enumerate(names):
        hue = (0.58 + index * 0.618033988749895) % 1
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.75 - 0.25 * (index // 6 % 2), 0.95 - 0.2 * (index // 3 % 2))
        colors.append(known.get(name, (round(255 * red), round(255 * green), round(255 * blue))))
    return tuple(colors)
