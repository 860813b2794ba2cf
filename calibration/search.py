"""What quantisation costs, block by block, and which blocks to give back to float."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rsseg_edge.calibration.clipping import METHODS, Method
from rsseg_edge.calibration.plan import Plan
from rsseg_edge.calibration.ranges import Progress
from rsseg_edge.calibration.subject import Decision, Graphs, Subject
from rsseg_edge.types import UInt8Array

ROUNDS = 15
"""Timed runs of each alternative, in turn, of which the median counts."""

WORTH = 0.01
"""A kind of operator stays in float unless the network is faster by this share with it in int8."""


@dataclass(frozen=True)
class Closeness:
    """How near a network is to its parent.

    Attributes:
        agreement: share of the pixels, 0..1, that get the same class; 0 where a probability is no number.
        error: mean difference of the classes' probabilities.
        confusion: int64 [K, K], pixels by the parent's class and this one's.
        per_view: agreement on each view.
    """

    agreement: float
    error: float
    confusion: tuple[tuple[int, ...], ...]
    per_view: tuple[float, ...]


@dataclass(frozen=True)
class Rung:
    """A mixture that was measured: blocks left in float, closeness, and milliseconds a view; ``miou`` where labels
    were looked at, 0..1."""

    floats: tuple[str, ...]
    closeness: Closeness
    milliseconds: float
    miou: float | None = None


def compare(subject: Subject, graphs: Graphs, views: Sequence[UInt8Array], parents: Sequence[Decision]) -> Closeness:
    """Decide on views and compare with what the parent decided."""
    engines = subject.engines(graphs)
    size = len(subject.colors)
    confusion = np.zeros((size, size), np.int64)
    errors, same = [], []
    for view, parent in zip(views, parents, strict=True):
        found = subject.decide(engines, view)
        if not np.isfinite(found.shares).all():
            same.append(0.0)
            errors.append(1.0)
            continue
        errors.append(float(np.abs(found.shares - parent.shares).mean()))
        same.append(float((found.class_map == parent.class_map).mean()))
        pairs = parent.class_map.astype(np.int64) * size + found.class_map
        confusion += np.bincount(pairs.ravel(), minlength=size * size)[: size * size].reshape(size, size)
    for engine in engines.values():
        engine.close()
    table = tuple(tuple(int(n) for n in row) for row in confusion)
    return Closeness(float(np.mean(same)), float(np.mean(errors)), table, tuple(same))


def choose_method(
    plan: Plan, subject: Subject, views: Sequence[UInt8Array], parents: Sequence[Decision]
) -> tuple[Plan, dict[Method, float]]:
    """The plan with the method whose graphs differ least from the parent, and the error of each."""
    errors: dict[Method, float] = {}
    for method in METHODS:
        errors[method] = compare(subject, replace(plan, method=method).build(), views, parents).error
    return replace(plan, method=min(errors, key=errors.__getitem__)), errors


def latencies(
    subject: Subject,
    alternatives: Mapping[str, Callable[[], Graphs]],
    view: UInt8Array,
    of: Callable[[list[float]], float] = statistics.median,
) -> dict[str, float]:
    """Milliseconds of a decision on a view by each alternative: the median of runs in turn on all cores.

    Each is built when it is loaded and then dropped, so that of a large network only what runs is there several times.
    ``of`` is :func:`min` for a choice among alternatives: what else the machine does only ever adds.
    """
    engines = {name: subject.engines(build()) for name, build in alternatives.items()}
    for found in engines.values():
        subject.decide(found, view)
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, found in engines.items():
            begin = time.perf_counter()
            subject.decide(found, view)
            times[name].append(1000 * (time.perf_counter() - begin))
    for found in engines.values():
        for engine in found.values():
            engine.close()
    return {name: of(values) for name, values in times.items()}


def drop_slow_kinds(plan: Plan, subject: Subject, view: UInt8Array) -> tuple[Plan, dict[str, float]]:
    """Leave kinds of operators in float that are no faster as integers here, and what each alternative takes, ms.

    One kind after the other, the slowest first: two may each seem slow beside the other.
    """
    found = latencies(subject, {"float": lambda: plan.graphs, _ALL: plan.build}, view, min)
    now, dropped = found[_ALL], list[str]()
    while len(kinds := _kinds(plan)) > 1:
        times = {}
        for kind in kinds:  # two at a time: a large network is 700 MB each
            pair = latencies(subject, {"now": plan.build, "without": _without(plan, kind).build}, view, min)
            times[kind] = now * pair["without"] / pair["now"]
            found[f"{' and '.join([*dropped, kind])} in float"] = times[kind]
        worst = min(times, key=times.__getitem__)
        if times[worst] > (1 + WORTH) * now:
            break
        plan, now = _without(plan, worst), times[worst]
        dropped.append(worst)
    return plan, found


_ALL = "all in int8"


def _kinds(plan: Plan) -> list[str]:
    return list(dict.fromkeys(site.kind for sites in plan.sites.values() for site in sites))


def _without(plan: Plan, kind: str) -> Plan:
    kept = {
        graph: {**plan.kept[graph], **{s.node: f"a {kind} is no faster in int8 here" for s in sites if s.kind == kind}}
        for graph, sites in plan.sites.items()
    }
    sites = {graph: tuple(s for s in sites if s.kind != kind) for graph, sites in plan.sites.items()}
    return replace(plan, sites=sites, kept=kept)


def sensitivity(
    plan: Plan,
    subject: Subject,
    views: Sequence[UInt8Array],
    parents: Sequence[Decision],
    progress: Progress | None = None,
) -> dict[str, Closeness]:
    """What quantising each block alone does; told after each block."""
    blocks = plan.blocks()
    found = {}
    for done, block in enumerate(blocks, 1):
        found[block] = compare(subject, plan.build([other for other in blocks if other != block]), views, parents)
        if progress:
            progress(done, len(blocks))
    return found


def ladder(count: int) -> list[int]:
    """How many blocks are given back, rung by rung: 0, 1, 2, 4, 8, ..., all."""
    rungs = [0]
    while rungs[-1] < count:
        rungs.append(min(count, max(1, 2 * rungs[-1])))
    return rungs


def climb(
    order: Sequence[str],
    measure: Callable[[Collection[str]], Rung],
    accept: Callable[[Rung], bool],
) -> tuple[Rung, list[Rung]]:
    """The accepted rung with the fewest blocks in float, and all that were measured.

    Rungs are measured up the ladder until one is accepted, then between it and the one before. Giving back every block
    is the parent itself, so that one is accepted in the end.
    """
    measured: dict[int, Rung] = {}

    def rung(count: int) -> Rung:
        if count not in measured:
            measured[count] = measure(order[:count])
        return measured[count]

    below = -1
    chosen = len(order)
    for count in ladder(len(order)):
        if accept(rung(count)):
            chosen = count
            break
        below = count
    while chosen - below > 1:
        middle = (chosen + below) // 2
        if accept(rung(middle)):
            chosen = middle
        else:
            below = middle
    return rung(chosen), [measured[count] for count in sorted(measured)]
