"""INT8: a bundle in float, from a request or as it is, to one whose graphs have Q/DQ nodes, with its report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from rsseg_edge.bundle import Bundle, Manifest
from rsseg_edge.calibration.pictures import pareto_png, worst_views
from rsseg_edge.calibration.quantize import Quantized, Settings, quantize_bundle
from rsseg_edge.calibration.ranges import Progress
from rsseg_edge.calibration.report import account
from rsseg_edge.calibration.report_html import to_html
from rsseg_edge.calibration.steps import Target
from rsseg_edge.calibration.subject import Graphs
from rsseg_edge.engines.agreement import THRESHOLDS
from rsseg_edge.errors import UsageError
from rsseg_edge.evaluation.confusion import ConfusionMatrix
from rsseg_edge.export.request import Request, Say
from rsseg_edge.export.targets import source
from rsseg_edge.export.write import bundle_name, check_target, checksums, write_bundle
from rsseg_edge.machine import byte_products, has_vnni, processor
from rsseg_edge.precision import Parity, Precision, Speed

REPORT, PAGE = "report.json", "report.html"


@dataclass(frozen=True)
class Int8Request:
    """How a bundle is quantised.

    Attributes:
        calibration: real images: a video, a folder, a scene, or a data set of the table.
        target: "cpu" or "tensorrt".
        max_drop: points of mIoU that may be lost.
        images: views to calibrate on.
        labels: data set whose validation split is measured; None takes ``calibration`` if that is one, and without
            either the agreement with the parent decides.
        root: folder of the data sets.
    """

    calibration: str
    target: Target = "cpu"
    max_drop: float = 0.5
    images: int = 64
    labels: str | None = None
    root: Path | None = None


def export_int8(
    request: Request, wanted: Int8Request, folder: Path, say: Say, progress: Progress | None = None
) -> Manifest:
    """Write a bundle in int8 with ``report.json`` and ``report.html``.

    Args:
        request: of the bundle to start from; its precision is not looked at. A bundle's folder or the name of a shipped
            one is taken as it is.
        wanted: see there.
        folder: of the new bundle.
        say: told each step in a line.
        progress: of the measurement of ranges.

    Raises:
        UsageError: the request cannot be met, or there are too few real images.
        RssegError: no mixture of int8 and float is accurate enough, or a file cannot be read or written.
    """
    from rsseg_edge.calibration.candidates import is_dataset

    check_target(folder)
    name = bundle_name(request.name, folder)
    work = folder.with_name(f".{folder.name}.calibration")
    settings = Settings(wanted.calibration, wanted.root, wanted.target, wanted.max_drop, wanted.images, work)
    with source(replace(request, precision="fp32"), say) as parent, TemporaryDirectory(prefix="rsseg-int8-") as scratch:
        labels = wanted.labels
        if labels is None and is_dataset(wanted.calibration) and parent.manifest.task != "referring":
            labels = wanted.calibration
        score = None if labels is None else _scorer(parent, labels, wanted.root, Path(scratch) / "candidate")
        found = quantize_bundle(parent, settings, say, score, progress)
        for graph in found.graphs.values():
            onnx.checker.check_model(graph)
        manifest = _manifest(parent, found, settings, name)
        report = account(found, settings, name, tuple(c.name for c in manifest.classes) or ("rest", "referred to"))
        files = _files(parent, found.graphs)
        files[REPORT] = (json.dumps(report, indent=1, allow_nan=False) + "\n").encode()
        files[PAGE] = to_html(report, pareto_png(report), worst_views(found)).encode()
        manifest = manifest.model_copy(update={"files": checksums(files)})
        write_bundle(folder, Manifest.model_validate(manifest.model_dump()), files)
    shutil.rmtree(work, ignore_errors=True)
    return manifest


def _files(parent: Bundle, graphs: Graphs) -> dict[str, bytes]:
    """The parent's files, some graphs replaced, without engines and reports, which are of other graphs."""
    left_out = {engine.file for engine in parent.manifest.engines} | {REPORT, PAGE}
    files = {name: parent.read(name) for name in parent.manifest.files if name not in left_out and name not in graphs}
    return files | {name: graph.SerializeToString() for name, graph in graphs.items()}


def _manifest(parent: Bundle, found: Quantized, settings: Settings, name: str) -> Manifest:
    plan, close = found.plan, found.chosen.closeness
    nodes = [
        f"{graph}: {site.node}" if len(plan.graphs) > 1 else site.node
        for graph, sites in plan.sites.items()
        for site in sites
        if plan.block(graph, site) in found.chosen.floats
    ]
    precision = Precision(name="int8", target=settings.target, kept_fp32=tuple(nodes), measured_on=found.described)
    parity = Parity(
        reference=f"bundle {parent.manifest.name} in fp32",
        runtime="the int8 graph, ONNX Runtime on a CPU",
        data=f"views of {Path(settings.where).name} that were not calibrated on",
        images=len(found.held),
        agreement=close.agreement,
        threshold=THRESHOLDS["int8"],
        max_score_difference=_worst_score(found),
    )
    speed = Speed(
        processor=processor(),
        vnni=has_vnni(),
        byte_products=byte_products(),
        milliseconds=found.times["int8"],
        parent_milliseconds=found.times["parent in fp32"],
    )
    update = {"name": name, "precision": precision, "parity": parity, "speed": speed, "engines": (), "scores": ()}
    return parent.manifest.model_copy(update=update)


def _worst_score(found: Quantized) -> float:
    engines = found.subject.engines(found.graphs)
    differences = [
        float(np.abs(found.subject.decide(engines, view).shares - parent.shares).max())
        for view, parent in zip(found.held, found.parents, strict=True)
    ]
    return max(differences)


def _scorer(parent: Bundle, labels: str, root: Path | None, folder: Path) -> Callable[[Graphs], ConfusionMatrix]:
    """The confusion matrix of labelled images by the parent with other graphs, as its users get it.

    Raises:
        UsageError: the data set is not there, or its classes are not the model's.
    """
    from rsseg_edge.datasets.reader import open_dataset
    from rsseg_edge.datasets.table import describe
    from rsseg_edge.evaluation.evaluate import evaluate
    from rsseg_edge.evaluation.vocabulary import match_subject
    from rsseg_edge.segmenter import load

    spec, dataset = describe(labels), open_dataset(labels, root, "val")
    manifest = parent.manifest
    if manifest.task == "referring":
        raise UsageError(f"model {manifest.name} has no classes: labelled data cannot be measured; give images alone")
    words: Sequence[str] | None = None
    if manifest.vocabulary is not None and len(manifest.vocabulary.words) == len(spec.classes):
        words = manifest.vocabulary.words  # the bundle's own, in the order of the data's classes

    def score(graphs: Graphs) -> ConfusionMatrix:
        files = _files(parent, graphs)
        update = {"files": checksums(files), "engines": ()}
        write_bundle(folder, manifest.model_copy(update=update), files)
        segmenter = load(folder, engine="onnxruntime", say=lambda line: None)
        match = match_subject(segmenter, spec, (), words)
        matrix = evaluate(lambda image: segmenter(image).class_map, dataset, match=match)
        segmenter.close()
        return matrix

    return score
