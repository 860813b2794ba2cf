"""Which images a network is calibrated on: those that cover what there is, not the first ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import UsageError
from rsseg_edge.types import UInt8Array

LEAST = 8
"""Fewer distinct images say nothing about a range."""
FEW = 32
"""Fewer than this are taken with a warning."""

_FLAT = 2.0
_DARK = 8.0
_SAME = 0.75
"""Mean difference of two thumbnails, in 1/255, below which one is a copy of the other."""

Floats = npt.NDArray[np.float32]


def describe(view: UInt8Array) -> tuple[Floats, UInt8Array]:
    """Colours and textures of an image, uint8 [H, W, 3], as a point, float32 [122]; and a thumbnail, [16, 16, 3]."""
    import cv2

    small = cv2.resize(view, (64, 64), interpolation=cv2.INTER_AREA)
    bins = (small >> 6).astype(np.int64)
    colours = np.bincount((bins @ np.array([16, 4, 1])).ravel(), minlength=64) / 4096
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    texture = []
    for size in (64, 32):
        scaled = cv2.resize(gray, (size, size), interpolation=cv2.INTER_AREA)
        across, down = np.gradient(scaled)
        steps = np.digitize(np.hypot(across, down), (2, 6, 14, 30))
        texture.append(np.bincount(steps.ravel(), minlength=5) / steps.size)
    layout = cv2.resize(small, (4, 4), interpolation=cv2.INTER_AREA).astype(np.float32).reshape(-1) / 255
    point = np.concatenate([np.sqrt(colours), np.sqrt(np.concatenate(texture)), 0.25 * layout])
    thumbnail = cv2.resize(small, (16, 16), interpolation=cv2.INTER_AREA)
    return point.astype(np.float32), np.asarray(thumbnail, np.uint8)


@dataclass
class Candidates:
    """Views that may be chosen, looked at one by one; of each only its description is kept.

    Attributes:
        places: number of each kept view in the order of :meth:`offer`.
        refused: how many were left out, by reason.
    """

    places: list[int] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    _points: list[Floats] = field(default_factory=list)
    _thumbnails: list[npt.NDArray[np.int16]] = field(default_factory=list)
    _offered: int = 0

    def offer(self, view: UInt8Array) -> None:
        """Look at the next view, uint8 [H, W, 3]. Black and even ones and copies are left out."""
        place, self._offered = self._offered, self._offered + 1
        point, thumbnail = describe(view)
        if float(view.max()) < _DARK:
            self.refused["black"] += 1
        elif float(thumbnail.astype(np.float32).std((0, 1)).max()) < _FLAT:
            self.refused["of one colour"] += 1
        elif self._is_copy(thumbnail):
            self.refused["a copy of another"] += 1
        else:
            self.places.append(place)
            self._points.append(point)
            self._thumbnails.append(thumbnail.astype(np.int16))

    def _is_copy(self, thumbnail: UInt8Array) -> bool:
        if not self._thumbnails:
            return False
        known = np.stack(self._thumbnails)
        return bool((np.abs(known - thumbnail).mean((1, 2, 3)) < _SAME).any())

    def refusals(self) -> str:
        """What was left out, as words; empty where nothing was."""
        return ", ".join(f"{count} {reason}" for reason, count in self.refused.items())

    def choose(self, count: int, held_out: int) -> tuple[list[int], list[int]]:
        """Places of the views to calibrate on, and of others to measure on; each kind spread over all there are.

        Every next view is the one farthest from those chosen (Gonzalez, 1985): none is farther from a chosen one than
        twice what the best choice could reach. The first is the one nearest to the mean.

        Raises:
            UsageError: fewer than :data:`LEAST` distinct views.
        """
        total = len(self.places)
        if total < LEAST:
            left = f" ({self.refusals()} left out)" if self.refused else ""
            raise UsageError(
                f"--calibration: {total} distinct images{left}, and {LEAST} are the least that ranges can be measured "
                f"on: give real images or video of what the network will see"
            )
        order = farthest_first(np.stack(self._points), min(total, count + held_out))
        spare = min(held_out, max(len(order) // 4, len(order) - count))
        # every so-manieth of the order: both kinds begin with the extremes
        every = max(2, len(order) // max(spare, 1))
        apart = set(range(every - 1, len(order), every))
        apart = set(sorted(apart)[:spare])
        chosen = [self.places[p] for i, p in enumerate(order) if i not in apart][:count]
        return chosen, [self.places[order[i]] for i in sorted(apart)]


def farthest_first(points: Floats, count: int) -> list[int]:
    """Indices of ``count`` of the points [N, D], each the farthest from those before it; the first nearest the mean."""
    order = [int(np.argmin(((points - points.mean(0)) ** 2).sum(1)))]
    distance = ((points - points[order[0]]) ** 2).sum(1)
    while len(order) < count:
        order.append(int(np.argmax(distance)))
        distance = np.minimum(distance, ((points - points[order[-1]]) ** 2).sum(1))
    return order
