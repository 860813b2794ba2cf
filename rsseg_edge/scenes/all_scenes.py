"""Several scenes together: what became of each, and the area of each class over all."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rsseg_edge.scenes.areas import ClassArea
from rsseg_edge.scenes.outcome import SceneOutcome
from rsseg_edge.types import ClassTable

ALL_SCENES = "all_scenes.csv"
STATES = ("done", "finished before", "partly read", "failed")


@dataclass(frozen=True)
class SceneDone:
    """A scene that was tried.

    Attributes:
        name: its results begin with.
        path: of the scene.
        outcome: None where it failed.
        problem: why it failed.
    """

    name: str
    path: str
    outcome: SceneOutcome | None = None
    problem: str = ""

    @property
    def state(self) -> str:
        """One of ``STATES``."""
        if self.outcome is None:
            return "failed"
        if self.outcome.failures:
            return "partly read"
        return "finished before" if self.outcome.earlier else "done"


def counts(done: Sequence[SceneDone]) -> dict[str, int]:
    """How many scenes are in each state."""
    found = Counter(scene.state for scene in done)
    return {state: found[state] for state in STATES}


def total_areas(done: Sequence[SceneDone], table: ClassTable) -> list[ClassArea]:
    """Of every class over all scenes: pixels and areas added up, the share by area, confidence by pixels."""
    outcomes = [scene.outcome for scene in done if scene.outcome is not None]
    everything = sum(area.area_m2 for outcome in outcomes for area in outcome.areas) or 1.0
    result = []
    for index, (name, color) in enumerate(zip(table.names, table.colors, strict=True)):
        parts = [outcome.areas[index] for outcome in outcomes]
        pixels, area = sum(part.pixels for part in parts), sum(part.area_m2 for part in parts)
        sure = sum(part.confidence * part.pixels for part in parts) / max(1, pixels)
        result.append(ClassArea(name, color, pixels, area, area / everything, sure))
    return result


def all_scenes_csv(done: Sequence[SceneDone], table: ClassTable) -> str:
    """A line a scene: its state, size, and the area of each class in square metres."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ("scene", "path", "state", "width", "height", "gsd_m", "no_data_pixels", "unread_places", "seconds")
    writer.writerow([*about, *(f"{name}_m2" for name in table.names), "problem"])
    for scene in done:
        told: list[object] = [""] * (len(about) - 3 + len(table))
        if scene.outcome is not None:
            o = scene.outcome
            told = [o.width, o.height, round(o.gsd, 5), o.no_data, len(o.failures), round(o.seconds, 3)]
            told += [round(area.area_m2, 2) for area in o.areas]
        writer.writerow([scene.name, scene.path, scene.state, *told, scene.problem])
    return text.getvalue()
