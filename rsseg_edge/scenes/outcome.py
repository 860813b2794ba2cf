"""What came of a scene, and how a later run knows it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rsseg_edge.scenes.areas import ClassArea
from rsseg_edge.scenes.clock import Clock
from rsseg_edge.scenes.reading import Failure
from rsseg_edge.types import ClassTable


@dataclass(frozen=True)
class SceneOutcome:
    """What came of a scene.

    Attributes:
        name: its results begin with.
        width: in pixels.
        height: in pixels.
        gsd: metres a pixel of the scene.
        areas: of every class.
        no_data: pixels without a class.
        polygons: how many were written.
        failures: what could not be read, and has no data now; pieces that touch are one.
        seconds: in all; of the run that finished it.
        resumed: bands that an earlier run had finished, of ``bands``.
        bands: of the scene.
        clock: where the time went.
        earlier: it was finished by an earlier run, and nothing was done.
    """

    name: str
    width: int
    height: int
    gsd: float
    areas: tuple[ClassArea, ...]
    no_data: int
    polygons: int
    failures: tuple[Failure, ...]
    seconds: float
    resumed: int
    bands: int
    clock: Clock
    earlier: bool = False


def report(outcome: SceneOutcome, settings: dict[str, Any], table: ClassTable) -> dict[str, Any]:
    """What is written as NAME.json, which says that a scene is finished."""
    return {
        "scene": settings["scene"],
        "width": outcome.width,
        "height": outcome.height,
        "gsd": round(outcome.gsd, 5),
        "classes": [area.row() for area in outcome.areas],
        "background": None if table.background is None else table.names[table.background],
        "no_data_pixels": outcome.no_data,
        "polygons": outcome.polygons,
        "failed_reads": [asdict(failure) for failure in outcome.failures],
        "seconds": round(outcome.seconds, 3),
        "resumed_bands": outcome.resumed,
        "bands": outcome.bands,
        "engine": {
            "seconds": round(outcome.clock.engine, 3),
            "pixels": outcome.clock.pixels,
            "windows": outcome.clock.windows,
            "survey_windows": outcome.clock.survey,
        },
        "settings": settings,
    }


def finished(
    path: Path, settings: dict[str, Any], size: tuple[int, int], name: str, table: ClassTable
) -> SceneOutcome | None:
    """What an earlier run of the same settings left; None where there is none. ``size`` is width and height."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["settings"] != json.loads(json.dumps(settings)):
            return None
        areas = tuple(
            ClassArea(a["class"], color, a["pixels"], a["area_m2"], a["share"], a["confidence"])
            for a, color in zip(data["classes"], table.colors, strict=True)
        )
        failures = tuple(Failure(**failure) for failure in data["failed_reads"])
        engine = data["engine"]
        clock = Clock(engine["seconds"], engine["pixels"], engine["windows"], engine["survey_windows"])
        return SceneOutcome(
            name, *size, data["gsd"], areas, data["no_data_pixels"], data["polygons"],
            failures, data["seconds"], 0, data["bands"], clock, earlier=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None
