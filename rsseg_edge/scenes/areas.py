"""How much of a scene each class covers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.polygons.regions import Runs
from rsseg_edge.types import ClassTable


@dataclass(frozen=True)
class ClassArea:
    """One class: its pixels, its area on the ground in m2, its share of what is valid, and its mean confidence."""

    name: str
    color: tuple[int, int, int]
    pixels: int
    area_m2: float
    share: float
    confidence: float

    def row(self) -> dict[str, Any]:
        """As it is written in tables."""
        return {
            "class": self.name,
            "pixels": self.pixels,
            "area_m2": round(self.area_m2, 2),
            "share": round(self.share, 6),
            "confidence": round(self.confidence, 4),
        }


class AreaCounter:
    """Adds up rows of a class map.

    Args:
        pixel_areas: float64 [height]: square metres of a pixel of each row.
    """

    def __init__(self, pixel_areas: npt.NDArray[np.float64]) -> None:
        self._pixel_areas = pixel_areas
        self._row = 0
        self._pixels = np.zeros(256)
        self._areas = np.zeros(256)
        self._confidence = np.zeros(256)

    def add(self, runs: Runs, rows: int) -> None:
        """The next rows' runs."""
        areas = runs.length * self._pixel_areas[self._row + runs.row]
        for total, values in ((self._pixels, runs.length), (self._areas, areas), (self._confidence, runs.confidence)):
            total += np.bincount(runs.class_index, values, 256)
        self._row += rows

    def classes(self, table: ClassTable) -> list[ClassArea]:
        """Of every class, in the order of the table."""
        valid = max(1, int(self._pixels[: len(table)].sum()))
        return [
            ClassArea(
                name,
                color,
                int(self._pixels[k]),
                float(self._areas[k]),
                float(self._pixels[k] / valid),
                float(self._confidence[k] / max(1, self._pixels[k]) / 255),
            )
            for k, (name, color) in enumerate(zip(table.names, table.colors, strict=True))
        ]

    @property
    def no_data(self) -> int:
        """Pixels without a class."""
        return int(self._pixels[255])


def csv_table(classes: Sequence[ClassArea]) -> str:
    """A line a class, after a line of column names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["class", "pixels", "area_m2", "share", "confidence"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(area.row() for area in classes)
    return text.getvalue()
