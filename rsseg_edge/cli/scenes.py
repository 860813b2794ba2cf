"""The part of ``rsseg-run`` that is for georeferenced scenes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rsseg_edge.cli import INTERRUPTED, say
from rsseg_edge.cli.options import SceneOptions
from rsseg_edge.cli.progress import PixelProgress
from rsseg_edge.cli.scene_summary import lost, print_all, print_scene, scenes_json
from rsseg_edge.cli.summary import say_encoded
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.job import Request
from rsseg_edge.machine import share_heap
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

INCOMPLETE = 3


def run_scenes(
    scenes: Sequence[SceneInput], given: Request, options: SceneOptions, gsd: float | None, as_json: bool
) -> None:
    """Do every scene; exit with 3 where parts could not be read, with 1 where a whole scene failed.

    A single scene's error is raised; of several, each is reported and the others go on.

    Args:
        scenes: the inputs.
        given: what scenes have in common with other inputs.
        options: what they have not.
        gsd: metres a pixel that the network is to see; None as in :class:`rsseg_edge.scenes.settings.SceneRequest`.
        as_json: print JSON in place of tables.

    Raises:
        UsageError: the request cannot be met.
        RssegError: the only scene failed.
    """
    share_heap()
    require_geo("a georeferenced scene")
    request = _request(given, options, gsd)
    with _pool(options) as pool:
        _run_all(SceneJob(request, pool, say), scenes, request.out, as_json)


def _run_all(job: SceneJob, scenes: Sequence[SceneInput], out: Path, as_json: bool) -> None:
    say_encoded(job.change)
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
def _pool(options: SceneOptions) -> Iterator[Pool | None]:
    if options.workers is None and options.cluster is None:
        yield None
        return
    if options.workers is not None and options.cluster is not None:
        raise UsageError("--workers starts processes here, --cluster takes those of a scheduler: one of them")
    from rsseg_edge.scenes.cluster import DaskPool

    with DaskPool(options.workers, options.cluster) as pool:
        yield pool


def _request(given: Request, options: SceneOptions, gsd: float | None) -> SceneRequest:
    bands = None if options.bands is None else parse_bands(options.bands)
    percentiles = None if options.stretch is None else parse_percentiles(options.stretch)
    chosen: dict[str, Any] = {"tile": options.tile, "overlap": options.overlap, "simplify": options.simplify}
    if options.overlap is None and options.tile is not None:
        chosen["overlap"] = max(0, min(OVERLAP, options.tile // 2))
    if options.polygons is not None:
        chosen["polygons"] = parse_formats(options.polygons)
    return SceneRequest(
        model=given.model,
        out=given.out,
        options=Options(bands, percentiles),
        gsd=gsd,
        vocabulary=given.vocabulary,
        fast=given.fast,
        classes_only=given.classes_only,
        alpha=given.alpha,
        confidence=options.confidence,
        probabilities=options.probabilities,
        threads=given.threads,
        engine=given.engine,
        precision=given.precision,
        overwrite=options.overwrite,
        **{name: value for name, value in chosen.items() if value is not None},
    )
