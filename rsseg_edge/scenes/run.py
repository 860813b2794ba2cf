"""Scenes from end to end: segmented band by band, then published as maps, polygons, tables and pictures."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rsseg_edge.engines.choose import Say
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.machine import available_cores
from rsseg_edge.postprocess.overlay import Overlay
from rsseg_edge.scenes.areas import csv_table
from rsseg_edge.scenes.clock import Clock
from rsseg_edge.scenes.follow import Follower
from rsseg_edge.scenes.gdal import environment
from rsseg_edge.scenes.outcome import SceneOutcome, finished, report
from rsseg_edge.scenes.polygon_files import publish_polygons
from rsseg_edge.scenes.probe import SceneInput
from rsseg_edge.scenes.quicklook import quick_look
from rsseg_edge.scenes.raster import write_class_cog, write_confidence_cog, write_probability_cog
from rsseg_edge.scenes.reading import united
from rsseg_edge.scenes.scene import Scene
from rsseg_edge.scenes.segment import BandRun
from rsseg_edge.scenes.settings import SceneRequest, plan_windows
from rsseg_edge.scenes.stac import software_version, stac_item
from rsseg_edge.scenes.stretch import Stretch
from rsseg_edge.scenes.survey import survey, survey_sides
from rsseg_edge.scenes.thumbnail import Thumbnail
from rsseg_edge.scenes.units import BandStore, Pool, Task, consecutive, layers_of, open_model, windows_at_once
from rsseg_edge.scenes.web_map import web_map
from rsseg_edge.scenes.windows import Plan
from rsseg_edge.scenes.work import BandDone, Work
from rsseg_edge.segmenter import open_in_precision
from rsseg_edge.segmenters.scene_queries import SceneQueries
from rsseg_edge.sinks.images import encode_png
from rsseg_edge.sinks.part_file import named_errors, write_file

Progress = Callable[[int, int], None]
"""Told how many pixels of a scene are done, and of how many."""


class SceneJob:
    """A model and what it is to do with scenes.

    Args:
        request: what is to be done.
        pool: processes that share the work; None does it all in this one.
        say: told which engine runs and why; None writes it to the log ``rsseg_edge``.

    Attributes:
        segmenter: the model.
        change: what it took to set the vocabulary; None where none was asked for.

    Raises:
        UsageError: the request cannot be met.
        RssegError: the bundle is damaged.
    """

    def __init__(self, request: SceneRequest, pool: Pool | None = None, say: Say | None = None) -> None:
        bundle = open_in_precision(request.model, request.precision, request.engine, say)
        request = replace(request, precision=bundle.manifest.precision.name)  # one for all processes, whatever they are
        self.request, self._pool, self._manifest = request, pool, bundle.manifest
        # Nobody waits for a window: the rest takes what the network leaves.
        self._threads = request.threads or available_cores()
        segmenter, change = open_model(request, self._threads, say)
        self.segmenter = segmenter
        self.change = change
        for name in request.classes_only or ():
            self.segmenter.table.index(name)
        if not 0 <= request.simplify <= 1:
            raise UsageError(f"--simplify {request.simplify:g}: from 0 to 1 pixel")
        out = request.out
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file; -o takes a folder")

    def run(self, path: str, name: str, progress: Progress = lambda done, total: None) -> SceneOutcome:
        """Do one scene.

        Args:
            path: of the scene, as GDAL takes it.
            name: that its results begin with.
            progress: told after each window.

        Raises:
            UsageError: the scene lacks something; nothing was written.
            RssegError: it cannot be read, or results cannot be written. The same command goes on from there.
        """
        begin = time.perf_counter()
        with environment(), Scene(path, self.request.options) as scene:
            plan = plan_windows(scene.geo, self.segmenter.spec, self.segmenter.score_stride, self.request)
            settings = self._settings(scene, plan)
            said = self.request.out / f"{name}.json"
            if self.request.overwrite:
                with named_errors(said):
                    said.unlink(missing_ok=True)  # it says that the scene is finished
            earlier = finished(said, settings, (scene.geo.width, scene.geo.height), name, self.segmenter.table)
            if earlier is not None:
                return earlier
            self.segmenter.serve(windows_at_once(self.request, plan, self._threads))
            folder = self.request.out / f".{name}.work"
            with Work(folder, settings, plan.bounds, plan.width, layers_of(self.request, self.segmenter.table)) as work:
                try:
                    self._prepare(scene, work)
                    scene.thumbnail = Thumbnail(scene.geo.height, scene.geo.width)
                except UsageError:
                    work.remove()
                    raise
                simplify = self.request.simplify if self.request.polygons else None
                with Follower(work, scene.geo, self.segmenter.table, simplify) as follower:
                    clock = Clock()
                    queries = self._queries(scene, plan, work, clock)
                    self._segment(scene, plan, queries, work, follower, clock, progress)
                    _refuse_if_lost(scene, work)
                    outcome = self._publish(scene, plan, work, follower, name, clock, begin, settings)
                work.remove()
                return outcome

    def _settings(self, scene: Scene, plan: Plan) -> dict[str, Any]:
        """All that pixels and files depend on, as JSON."""
        request, manifest = self.request, self._manifest
        stat = Path(scene.path).stat() if Path(scene.path).exists() else None
        return {
            "version": software_version(),
            "scene": scene.path,
            "size": None if stat is None else stat.st_size,
            "changed": None if stat is None else stat.st_mtime_ns,
            "grid": asdict(scene.geo),
            "model": manifest.name,
            "bundle": hashlib.sha256(manifest.model_dump_json().encode()).hexdigest(),
            "bands": scene.bands,
            "percentiles": scene.percentiles,
            "rows": asdict(plan.rows),
            "columns": asdict(plan.columns),
            "vocabulary": None if request.vocabulary is None else asdict(request.vocabulary),
            "fast": request.fast,
            "confidence": request.confidence,
            "probabilities": request.probabilities,
            "polygons": request.polygons,
            "simplify": request.simplify,
        }

    @staticmethod
    def _prepare(scene: Scene, work: Work) -> None:
        def measure() -> dict[str, Any] | None:
            stretch = scene.measure()
            return None if stretch is None else asdict(stretch)

        stretch = work.once("stretch", measure)
        scene.stretch = None if stretch is None else Stretch(tuple(stretch["low"]), tuple(stretch["high"]))

    def _queries(self, scene: Scene, plan: Plan, work: Work, clock: Clock) -> SceneQueries | None:
        def look() -> dict[str, Any] | None:
            queries = survey(scene, self.segmenter, plan, survey_sides(plan, self.segmenter.spec), clock)
            # They come up again where they leave a hole; a run that goes on does not look at the scene a second time.
            scene.reader.failures.clear()
            return None if queries is None else queries.to_json()

        queries = work.once("queries", look)
        return None if queries is None else SceneQueries.from_json(queries)

    def _segment(
        self,
        scene: Scene,
        plan: Plan,
        queries: SceneQueries | None,
        work: Work,
        follower: Follower,
        clock: Clock,
        progress: Progress,
    ) -> None:
        for failure in work.failures:
            scene.reader.failures[failure.top, failure.left, failure.height, failure.width] = failure
        total = plan.height * plan.width
        if self._pool is not None:
            request = replace(self.request, model=_anywhere(self.request.model))
            task = Task(_anywhere(scene.path), request, scene.stretch, plan, queries, _anywhere(str(work.folder)))
            for done in self._pool.bands(task, list(consecutive(work.missing))):
                work.noted(done)
                follower.go_on()
                progress(sum(b - a for a, b in work.finished_rows()) * plan.width, total)
            return
        columns = len(plan.columns.starts)

        def on_window(row: int, column: int) -> None:
            top, bottom = plan.bounds[row : row + 2]
            progress(top * plan.width + (bottom - top) * plan.width * (column + 1) // columns, total)

        def on_band(done: BandDone) -> None:
            work.add(done)
            follower.go_on()

        classes = len(self.segmenter.table) if self.request.probabilities else 0
        for bands in consecutive(work.missing):
            rows = BandStore(work.layers, on_band)
            BandRun(scene, self.segmenter, plan, queries, rows.add, on_window, clock, classes).run(bands)

    def _publish(
        self,
        scene: Scene,
        plan: Plan,
        work: Work,
        follower: Follower,
        name: str,
        clock: Clock,
        begin: float,
        settings: dict[str, Any],
    ) -> SceneOutcome:
        request, table, layers, geo = self.request, self.segmenter.table, work.layers, scene.geo
        path = request.out / name
        files = {"classes": f"{name}.tif", "quicklook": f"{name}.png", "map": f"{name}.html"}
        overlay = Overlay(table, table.selected(request.classes_only), request.alpha)

        def look() -> tuple[bytes, str]:
            with environment():  # GDAL's settings reach no other thread
                picture = quick_look(scene, layers)
            drawn = encode_png(request.out / files["quicklook"], picture.overlay(overlay)[..., ::-1])
            follower.see_all()
            return drawn, web_map(name, picture, geo, table, follower.areas.classes(table))

        with ThreadPoolExecutor(1) as beside:
            looking = beside.submit(look)
            write_class_cog(layers, follower.see_all(), geo, table, request.out / files["classes"])
            if request.confidence:
                files["confidence"] = f"{name}.confidence.tif"
                write_confidence_cog(layers, geo, request.out / files["confidence"])
            if request.probabilities:
                files["probabilities"] = f"{name}.probabilities.tif"
                write_probability_cog(layers, geo, table, request.out / files["probabilities"])

        drawn, page = looking.result()
        follower.finish()
        polygons, counter = follower.polygons, follower.areas
        if request.polygons:
            publish_polygons(polygons, work.folder, path, request.polygons)
        files |= {f"polygons_{format}": f"{name}.{format}" for format in request.polygons}
        areas = counter.classes(table)
        files |= {"areas": f"{name}.csv", "report": f"{name}.json"}
        write_file(request.out / files["areas"], csv_table(areas).encode())
        write_file(request.out / files["quicklook"], drawn)
        write_file(request.out / files["map"], page.encode())
        item = stac_item(name, scene.path, geo, table, settings["model"], files, scene.tags)
        write_file(request.out / f"{name}.stac.json", item.encode())
        outcome = SceneOutcome(
            name, geo.width, geo.height, geo.ground_sampling_distance(), tuple(areas), counter.no_data, polygons,
            tuple(united(work.failures)), time.perf_counter() - begin, work.resumed, len(plan.ready), clock,
        )  # fmt: skip
        # Last of all: it says that the scene is finished.
        write_file(request.out / files["report"], json.dumps(report(outcome, settings, table), indent=2).encode())
        return outcome


def scene_names(scenes: Sequence[SceneInput]) -> list[str]:
    """What the results of each scene begin with; see :func:`rsseg_edge.sources.images.output_names`."""
    from rsseg_edge.sources.images import output_names

    return output_names([Path(scene.path if scene.name is None else f"{scene.name}.tif") for scene in scenes])


def _refuse_if_lost(scene: Scene, work: Work) -> None:
    """A file of which nothing can be read is no scene with a hole."""
    lost = united(work.failures)
    if len(lost) == 1 and (lost[0].height, lost[0].width) == (scene.geo.height, scene.geo.width):
        work.remove()
        raise RssegError(f"{scene.path}: nothing of it can be read ({lost[0].reason}); it is damaged or was cut short")


def _anywhere(path: str) -> str:
    """A path as a process elsewhere finds it; a name or URL as it is."""
    return str(Path(path).resolve()) if Path(path).exists() else path
