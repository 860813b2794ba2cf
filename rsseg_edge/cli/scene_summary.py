"""What came of scenes, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rsseg_edge.scenes.all_scenes import SceneDone, counts, total_areas
from rsseg_edge.scenes.areas import ClassArea
from rsseg_edge.scenes.outcome import SceneOutcome
from rsseg_edge.types import ClassTable

SHOWN = 4  # places that could not be read, in a message


def lost(outcome: SceneOutcome) -> str:
    """What could not be read, in one line."""
    share = sum(f.height * f.width for f in outcome.failures) / (outcome.height * outcome.width)
    told = [f.place for f in outcome.failures[:SHOWN]]
    if len(outcome.failures) > SHOWN:
        told.append(f"{len(outcome.failures) - SHOWN} more places, see {outcome.name}.json")
    return (
        f"{100 * share:.2g} % cannot be read and has no data now: {'; '.join(told)} ({outcome.failures[0].reason}); "
        f"once it can, --overwrite does it anew"
    )


def print_scene(outcome: SceneOutcome, out: Path) -> None:
    """What came of one scene, as a table."""
    console = Console()
    size = f"{outcome.width} x {outcome.height} pixels of {outcome.gsd:.3g} m"
    if outcome.earlier:
        console.print(f"[bold]{escape(outcome.name)}[/] was finished before; --overwrite does it anew")
    else:
        rate = outcome.width * outcome.height / outcome.seconds / 1e6
        resumed = f", {outcome.resumed} of {outcome.bands} bands from before" if outcome.resumed else ""
        console.print(
            f"[bold]{escape(outcome.name)}[/]: {size} in {outcome.seconds:.1f} s, {rate:.2f} Mpixel/s{resumed} "
            f"-> {escape(str(out / outcome.name))}.*"
        )
    console.print(_areas(outcome.areas))


def print_all(done: Sequence[SceneDone], table: ClassTable, file: Path) -> None:
    """What came of several scenes together."""
    console = Console()
    told = ", ".join(f"{count} {what}" for what, count in counts(done).items() if count)
    console.print(f"[bold]{len(done)} scenes[/]: {told} -> {escape(str(file))}")
    console.print(_areas(total_areas(done, table)))


def scenes_json(done: Sequence[SceneDone]) -> str:
    """One line: every scene, what went wrong, and how many are in which state."""
    scenes = [
        {
            "name": outcome.name,
            "width": outcome.width,
            "height": outcome.height,
            "gsd": outcome.gsd,
            "seconds": round(outcome.seconds, 3),
            "polygons": outcome.polygons,
            "no_data_pixels": outcome.no_data,
            "failed_reads": [str(failure) for failure in outcome.failures],
            "finished_before": outcome.earlier,
            "classes": [area.row() for area in outcome.areas],
        }
        for outcome in (scene.outcome for scene in done)
        if outcome is not None
    ]
    problems = [scene.problem for scene in done if scene.outcome is None]
    return json.dumps({"scenes": scenes, "problems": problems, "counts": counts(done)}, ensure_ascii=False)


def _areas(areas: Sequence[ClassArea]) -> Table:
    table = Table("", "class", "area [dim]ha[/]", "[dim]%[/]", "confidence [dim]%[/]", box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for area in areas:
        red, green, blue = area.color
        if area.pixels:
            numbers = f"{area.area_m2 / 1e4:,.2f}", f"{100 * area.share:.1f}", f"{100 * area.confidence:.0f}"
            table.add_row(f"[rgb({red},{green},{blue})]██[/]", escape(area.name), *numbers)
    return table
