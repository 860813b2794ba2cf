"""The part of ``rsseg-run`` that is for georeferenced scenes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsseg_edge.asked_model import Vocabulary
from rsseg_edge.cli import INTERRUPTED, say
from rsseg_edge.cli.progress import PixelProgress
from rsseg_edge.cli.scene_summary import lost, print_all, print_scene, scenes_json
from rsseg_edge.engines.choose import EngineName
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.scenes.all_scenes import ALL_SCENES, SceneDone, all_scenes_csv
from rsseg_edge.scenes.polygon_files import parse_formats
from rsseg_edge.scenes.probe import SceneInput
from rsseg_edge.scenes.run import SceneJob, scene_names
from rsseg_edge.scenes.scene import Options
from rsseg_edge.scenes.settings import OVERLAP, SceneRequest
from rsseg_edge.scenes.stretch import parse_bands, parse_percentiles
from rsseg_edge.scenes.units import Pool
from rsseg_edge.sinks.geo_package import require_geo
from rsseg_edge.sinks.part_file import write_file
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
    probabilities: bool
    polygons: str | None
    simplify: float | None
    overwrite: bool
    workers: int | None
    cluster: str | None


def run_scenes(
    scenes: Sequence[SceneInput],
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
        _run_all(SceneJob(request, pool, say), scenes, out, as_json)


def _run_all(job: SceneJob, scenes: Sequence[SceneInput], out: Path, as_json: bool) -> None:
    if job.change is not None and job.change.encoded:
        say(f"{job.change.encoded} new words encoded in {job.change.seconds:.1f} s; they are kept for the next run")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    done: list[SceneDone] = []
    for scene, name in zip(scenes, scene_names(scenes), strict=True):
        try:
            with PixelProgress(name if len(scenes) == 1 else f"{len(done) + 1}/{len(scenes)} {name}") as progress:
                outcome = job.run(scene.path, name, progress.show)
        except RssegError as error:
            if len(scenes) == 1:
                raise
            done.append(SceneDone(name, scene.path, problem=str(error)))
            say(f"error: {error}")
            continue
        except KeyboardInterrupt:
            say(f"interrupted: what is done of {scene.path} is kept in {out}; the same command goes on")
            sys.exit(INTERRUPTED)
        done.append(SceneDone(name, scene.path, outcome))
        if outcome.failures:
            say(f"warning: {scene.path}: {lost(outcome)}")
        if not as_json:
            print_scene(outcome, out)
    if len(scenes) > 1:
        write_file(out / ALL_SCENES, all_scenes_csv(done, job.segmenter.table).encode())
        if not as_json:
            print_all(done, job.segmenter.table, out / ALL_SCENES)
    if as_json:
        print(scenes_json(done))
    if any(scene.outcome is None for scene in done):
        sys.exit(1)
    if any(scene.outcome is not None and scene.outcome.failures for scene in done):
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
    if given.overlap is None and given.tile is not None:
        chosen["overlap"] = max(0, min(OVERLAP, given.tile // 2))
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
        probabilities=given.probabilities,
        threads=threads,
        engine=engine,
        precision=precision,
        overwrite=given.overwrite,
        **{name: value for name, value in chosen.items() if value is not None},
    )
