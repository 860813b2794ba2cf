"""From a bundle in float and real images to its graphs in int8, with an account of what it cost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rsseg_edge.bundle import Bundle
from rsseg_edge.calibration.blocks import find_blocks
from rsseg_edge.calibration.candidates import images
from rsseg_edge.calibration.clipping import Method
from rsseg_edge.calibration.plan import Plan, measured_tensors, without_unmeasured
from rsseg_edge.calibration.ranges import Progress, Record, digest, measure_ranges
from rsseg_edge.calibration.rounding import round_weights
from rsseg_edge.calibration.search import (
    Closeness,
    Rung,
    choose_method,
    climb,
    compare,
    drop_slow_kinds,
    latencies,
    sensitivity,
)
from rsseg_edge.calibration.selection import FEW, Candidates
from rsseg_edge.calibration.sites import find_sites
from rsseg_edge.calibration.smooth import channel_maxima, smooth, smoothable
from rsseg_edge.calibration.steps import Target
from rsseg_edge.calibration.subject import Decision, Feeds, Graphs, Subject, open_subject
from rsseg_edge.calibration.wiring import Wiring
from rsseg_edge.engines.agreement import THRESHOLDS
from rsseg_edge.errors import RssegError
from rsseg_edge.evaluation.confusion import ConfusionMatrix
from rsseg_edge.types import UInt8Array

HELD_OUT = 16
"""Views that are measured on and not calibrated on."""

_QUICK = 4
"""Views for what is only compared among alternatives."""
_SMOOTHING = 16
_ROUNDING = 64

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What is asked for.

    Attributes:
        where: real images; see :func:`rsseg_edge.calibration.candidates.images`.
        root: of a data set.
        target: what will run the graphs.
        max_drop: points of mIoU that may be lost, where there are labels.
        count: views to calibrate on.
        work: folder where measured ranges are kept until the end, for another run to go on from.
    """

    where: str
    root: Path | None
    target: Target
    max_drop: float
    count: int
    work: Path


@dataclass(frozen=True, eq=False)
class Quantized:
    """The outcome.

    Attributes:
        plan: with the method that was chosen.
        graphs: that were accepted, by file name.
        chosen: the mixture that they are.
        rungs: all mixtures that were measured.
        alone: what each block does alone.
        errors: of each method.
        times: milliseconds of the parent, of the accepted graphs, and of kinds of operators.
        smoothed: LayerNorms whose channels were evened.
        held: views that were measured on; the parent's decisions on them.
        described: the calibration images in words.
        parent_matrix: of labelled images by the parent; None where there are none.
        matrix: by the accepted graphs.
    """

    plan: Plan
    subject: Subject
    graphs: Graphs
    chosen: Rung
    rungs: tuple[Rung, ...]
    alone: Mapping[str, Closeness]
    errors: Mapping[Method, float]
    times: Mapping[str, float]
    smoothed: int
    held: tuple[UInt8Array, ...]
    parents: tuple[Decision, ...]
    described: str
    parent_matrix: ConfusionMatrix | None
    matrix: ConfusionMatrix | None


def quantize_bundle(
    bundle: Bundle,
    settings: Settings,
    say: Say,
    score: Callable[[Graphs], ConfusionMatrix] | None = None,
    progress: Progress | None = None,
) -> Quantized:
    """Quantise a bundle's graphs.

    Args:
        bundle: in fp32 or fp16.
        settings: see there.
        say: told each step in a line.
        score: the confusion matrix of labelled images by the bundle with other graphs; None measures agreement with
            the parent alone.
        progress: of what takes long.

    Raises:
        UsageError: too few real images, or a bundle that is quantised already.
        RssegError: the bundle gives no numbers, nothing reaches the accuracy that is asked for, or a file cannot be
            read or written.
    """
    subject = open_subject(bundle)
    calibration, held, described = choose_views(subject, settings, say)
    plan, subject, smoothed = _measure(bundle, subject, settings, calibration, say, progress)
    engines = subject.engines({})
    parents = tuple(subject.decide(engines, view) for view in held)
    for engine in engines.values():
        engine.close()
    broken = sum(not np.isfinite(parent.shares).all() for parent in parents)
    if broken:
        raise RssegError(
            f"bundle {bundle.manifest.name} itself gives values that are no numbers on {broken} of {len(held)} views: "
            f"nothing in int8 can be held against it; export it again from a sound checkpoint"
        )
    quick, quick_parents = held[:_QUICK], parents[:_QUICK]

    plan, errors = choose_method(plan, subject, quick, quick_parents)
    say(f"ranges by {plan.method}: " + ", ".join(f"{name} {error:.2g}" for name, error in errors.items()))
    times: dict[str, float] = {}
    if plan.target == "cpu":
        plan, times = drop_slow_kinds(plan, subject, held[0])
        say("ms: " + ", ".join(f"{name} {value:.0f}" for name, value in times.items()))
    blocks = plan.blocks()
    say(f"quantising each of {len(blocks)} blocks alone")
    alone = sensitivity(plan, subject, quick, quick_parents, progress)
    order = sorted(blocks, key=lambda block: -alone[block].error)
    parent_matrix = score({}) if score else None
    matrices: dict[tuple[str, ...], ConfusionMatrix] = {}

    def measure(floats: Collection[str], *, labels: bool = True) -> Rung:
        graphs = plan.build(floats)
        close = compare(subject, graphs, held, parents)
        taken = latencies(subject, {"this": lambda: graphs}, held[0], min)["this"]  # rungs are timed minutes apart
        miou = None
        if labels and score is not None and close.agreement >= THRESHOLDS["int8"]:
            matrices[tuple(floats)] = matrix = score(graphs)
            miou = matrix.miou
        say(
            f"{len(floats)} of {len(blocks)} blocks in float: {100 * close.agreement:.2f} % agree with the parent"
            + ("" if miou is None else f", mIoU {100 * miou:.2f} %")
        )
        return Rung(tuple(floats), close, taken, miou)

    def accept(rung: Rung) -> bool:
        if rung.closeness.agreement < THRESHOLDS["int8"]:
            return False
        if parent_matrix is None:
            return True
        return rung.miou is not None and 100 * (parent_matrix.miou - rung.miou) <= settings.max_drop

    chosen, rungs = climb(order, measure, accept)
    for count in sorted({len(order) // 8, len(order) // 4, len(order) // 2} - {0}):  # more of the curve
        if all(len(rung.floats) != count for rung in rungs):
            rungs.append(measure(order[:count], labels=False))
    if len(chosen.floats) == len(blocks):
        raise RssegError(
            f"no part of bundle {bundle.manifest.name} keeps to a drop of {settings.max_drop:g} points and "
            f"{100 * THRESHOLDS['int8']:.0f} % agreement in int8: allow more with --max-drop, or stay with fp16"
        )
    graphs = plan.build(chosen.floats)
    times = {**times, **latencies(subject, {"parent in fp32": dict, "int8": lambda: graphs}, held[0])}
    return Quantized(
        plan, subject, graphs, chosen, tuple(rungs), alone, errors, times, smoothed, held, parents, described,
        parent_matrix, matrices.get(chosen.floats),
    )  # fmt: skip


def choose_views(
    subject: Subject, settings: Settings, say: Say
) -> tuple[tuple[UInt8Array, ...], tuple[UInt8Array, ...], str]:
    """Views to calibrate on, others to measure on, and words for both.

    Raises:
        UsageError: too few distinct ones.
    """
    unreadable: list[str] = []
    candidates = Candidates()
    for image in images(settings.where, settings.root, unreadable.append):
        for view in subject.views(image):
            candidates.offer(view[0])
    for line in unreadable:
        say(f"warning: left out: {line}")
    if candidates.refused:
        say(f"warning: left out: {candidates.refusals()}")
    chosen, held = candidates.choose(settings.count, HELD_OUT)
    if len(chosen) < FEW:
        say(f"warning: {len(chosen)} images to calibrate on: ranges of so few may be too narrow for others")
    found: dict[int, UInt8Array] = {}
    wanted, place = {*chosen, *held}, 0
    for image in images(settings.where, settings.root, lambda line: None):
        for view in subject.views(image):
            if place in wanted:
                found[place] = view
            place += 1
    name = Path(settings.where).name
    described = f"{len(chosen)} of {len(candidates.places)} views of {name}, farthest from each other first"
    say(f"calibrating on {described}; {len(held)} others to measure on")
    return tuple(found[p] for p in chosen), tuple(found[p] for p in held), described


def _measure(
    bundle: Bundle, subject: Subject, settings: Settings, views: tuple[UInt8Array, ...], say: Say,
    progress: Progress | None,
) -> tuple[Plan, Subject, int]:  # fmt: skip
    """Ranges of the smoothed graphs; those graphs take the place of the subject's."""
    graphs, ranges, sites, kept, roundings, smoothed = {}, {}, {}, {}, {}, 0
    models = [bundle.manifest.files[name].encode() for name in subject.graphs]
    key = digest(iter([*models, *(view.tobytes() for view in views)]))
    for name, graph in subject.graphs.items():
        found, kept[name] = find_sites(graph)
        if settings.target == "cpu":  # an operator of ours is the whole block
            inner = {block.depth for block in find_blocks(Wiring(graph))}
            kept[name] |= dict.fromkeys(inner, "in its block's operator, between products of integers")
            found = [site for site in found if site.node not in inner]
        norms = smoothable(graph, found)
        maxima = channel_maxima(graph, list(norms), Feeds(subject, name, views[:_SMOOTHING]), progress)
        graphs[name] = smooth(graph, norms, maxima)
        smoothed += len(norms)
        say(f"{name}: measuring {len(measured_tensors(found))} tensors on {len(views)} views")
        ranges[name] = measure_ranges(
            graphs[name],
            measured_tensors(found),
            Feeds(subject, name, views),
            record=Record(settings.work / name.removesuffix(".onnx"), key),
            progress=progress,
        )
        sites[name], bad = without_unmeasured(found, ranges[name])
        if bad:
            say(f"warning: {name}: {len(bad)} nodes stay in float: values that are not finite")
        kept[name] = {**kept[name], **bad}
        roundings[name] = round_weights(graphs[name], sites[name], Feeds(subject, name, views[:_ROUNDING]), progress)
    subject = replace(subject, graphs=graphs)
    return Plan(graphs, sites, kept, ranges, roundings, settings.target), subject, smoothed
