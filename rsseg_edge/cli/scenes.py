"""The part of ``rsseg-run`` that is for georeferenced scenes."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rsseg_edge.asked_model import Vocabulary
from rsseg_edge.cli import INTERRUPTED, say
from rsseg_edge.cli.progress import PixelProgress
from rsseg_edge.engines.choose import EngineName
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.scenes.polygon_files import parse_formats
from rsseg_edge.scenes.run import SceneJob, SceneOutcome, scene_names
from rsseg_edge.scenes.scene import Options
from rsseg_edge.scenes.settings import SceneRequest
from rsseg_edge.scenes.stretch import parse_bands, parse_percentiles
from rsseg_edge.scenes.units import Pool
from rsseg_edge.sinks.geo_package import require_geo
from rsseg_edge.variants import PrecisionName

INCOMPLETE = 3


@dataclass(frozen=True)
class SceneArguments:
    """Options of the command line, None where they were not given."""

    bands: str | None
    stretch: str | None
    gsd: float | None
    tile: int | None
    overlap: int | None
    confidence: bool
    polygons: str | None
    simplify: float | None
    overwrite: bool
    workers: int | None
    cluster: str | None


def run_scenes(
    paths: Sequence[str],
    given: SceneArguments,
    model: str,
    out: Path,
    vocabulary: Vocabulary | None,
    fast: bool,
    classes_only: Sequence[str] | None,
    alpha: float,
    threads: int | None,
    engine: EngineName,
    as_json: bool,
    precision: PrecisionName | None = None,
) -> None:
    """Do every scene; exit with 3 where parts could not be read, with 1 where a whole scene failed.

    A single scene's error is raised; of several, each is reported and the others go on.

    Raises:
        UsageError: the request cannot be met.
        RssegError: the only scene failed.
    """
    require_geo("a georeferenced scene")
    request = _request(given, model, out, vocabulary, fast, classes_only, alpha, threads, engine, precision)
    with _pool(given) as pool:
        _run_all(SceneJob(request, pool, say), paths, out, as_json)


def _run_all(job: SceneJob, paths: Sequence[str], out: Path, as_json: bool) -> None:
    if job.change is not None and job.change.encoded:
        say(f"{job.change.encoded} new words encoded in {job.change.seconds:.1f} s; they are kept for the next run")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    outcomes: list[SceneOutcome] = []
    problems: list[str] = []
    for path, name in zip(paths, scene_names(list(paths)), strict=True):
        try:
            with PixelProgress(name) as progress:
                outcome = job.run(path, name, progress.show)
        except RssegError as error:
            if len(paths) == 1:
                raise
            problems.append(str(error))
            say(f"error: {error}")
            continue
        except KeyboardInterrupt:
            say(f"interrupted: what is done of {path} is kept in {out}; the same command goes on")
            sys.exit(INTERRUPTED)
        outcomes.append(outcome)
        for failure in outcome.failures:
            say(f"warning: {path}: {failure}")
        if not as_json:
            _print(outcome, out)
    if as_json:
        print(_json(outcomes, problems))
    if problems:
        sys.exit(1)
    if any(outcome.failures for outcome in outcomes):
        sys.exit(INCOMPLETE)


@contextmanager
def _pool(given: SceneArguments) -> Iterator[Pool | None]:
    if given.workers is None and given.cluster is None:
        yield None
        return
    if given.workers is not None and given.cluster is not None:
        raise UsageError("--workers starts processes here, --cluster takes those of a scheduler: one of them")
    from rsseg_edge.scenes.cluster import DaskPool

    with DaskPool(given.workers, given.cluster) as pool:
        yield pool


def _request(
    given: SceneArguments,
    model: str,
    out: Path,
    vocabulary: Vocabulary | None,
    fast: bool,
    classes_only: Sequence[str] | None,
    alpha: float,
    threads: int | None,
    engine: EngineName,
    precision: PrecisionName | None,
) -> SceneRequest:
    bands = None if given.bands is None else parse_bands(given.bands)
    percentiles = None if given.stretch is None else parse_percentiles(given.stretch)
    chosen: dict[str, Any] = {"tile": given.tile, "overlap": given.overlap, "simplify": given.simplify}
    if given.polygons is not None:
        chosen["polygons"] = parse_formats(given.polygons)
    return SceneRequest(
        model=model,
        out=out,
        options=Options(bands, percentiles),
        gsd=given.gsd,
        vocabulary=vocabulary,
        fast=fast,
        classes_only=classes_only,
        alpha=alpha,
        confidence=given.confidence,
        threads=threads,
        engine=engine,
        precision=precision,
        overwrite=given.overwrite,
        **{name: value for name, value in chosen.items() if value is not None},
    )


def _print(outcome: SceneOutcome, out: Path) -> None:
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
    table = Table("", "class", "area [dim]ha[/]", "[dim]%[/]", "confidence [dim]%[/]", box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for area in outcome.areas:
        red, green, blue = area.color
        if area.pixels:
            numbers = f"{area.area_m2 / 1e4:,.2f}", f"{100 * area.share:.1f}", f"{100 * area.confidence:.0f}"
            table.add_row(f"[rgb({red},{green},{blue})]██[/]", escape(area.name), *numbers)
    console.print(table)


def _json(outcomes: Sequence[SceneOutcome], problems: Sequence[str]) -> str:
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
        for outcome in outcomes
    ]
    return json.dumps({"scenes": scenes, "problems": list(problems)}, ensure_ascii=False)
