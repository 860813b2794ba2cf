"""What a run did: as tables for people, as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rsseg_edge.asked_model import AskedModel
from rsseg_edge.cli import say
from rsseg_edge.job import Job
from rsseg_edge.pipeline import Outcome
from rsseg_edge.segmenters.open_vocabulary import Change


def say_asked(model: AskedModel) -> None:
    """What was cut or had to be encoded of what a model was asked; on stderr, nothing where nothing was."""
    for note in model.notes:
        say(f"warning: {note}")
    say_encoded(model.change)


def say_encoded(change: Change | None) -> None:
    """How many words of a vocabulary were new and had to be encoded; on stderr, nothing where none was."""
    if change is not None and change.encoded:
        say(f"{change.encoded} new words encoded in {change.seconds:.1f} s; they are kept for the next run")


def print_table(outcome: Outcome, counted: Sequence[str], out: Path) -> None:
    """Frames and rate, milliseconds of each stage, area share of each class; on stdout."""
    console = Console()
    rate = outcome.frames / outcome.seconds if outcome.seconds else 0.0
    told = f"[bold]{outcome.frames}[/] frames in {outcome.seconds:.1f} s: [bold]{rate:.1f}[/] frames/s"
    console.print(f"{told} -> {escape(str(out))}", soft_wrap=True)
    if not outcome.frames:
        return
    stages = Table("stage", *[f"{name} [dim]ms[/]" for name in ("median", "p99")], box=None, pad_edge=False)
    for column in stages.columns[1:]:
        column.justify = "right"
    for name, times in outcome.stages.items():
        stages.add_row(name, f"{1e3 * times.quantile(0.5):.1f}", f"{1e3 * times.quantile(0.99):.1f}")
    classes = Table("", "class", "area [dim]%[/]", box=None, pad_edge=False)
    classes.columns[2].justify = "right"
    for name in counted:
        area = outcome.areas[name]
        red, green, blue = area.color
        share = 100 * area.pixels / outcome.pixels
        classes.add_row(f"[rgb({red},{green},{blue})]██[/]", escape(name), f"{share:.1f}")
    side_by_side = Table.grid(padding=(0, 6))
    side_by_side.add_row(stages, classes)
    console.print(side_by_side)


def print_steadiness(job: Job, outcome: Outcome) -> None:
    """How many frames the network saw, and how much the classes flicker, a line each where it was asked for."""
    if job.temporal is not None:
        print(f"key frames: {job.temporal.keyframes} of {outcome.frames} frames went through the network")
    if job.flicker is not None and job.flicker.meter.share is not None:
        share = 100 * job.flicker.meter.share
        print(f"flicker: {share:.2f} % of the pixels that look the same, motion taken into account, change class")


def print_stream(job: Job) -> None:
    """How old what was shown was, what was dropped and why, how often the stream was lost: a line for a live input."""
    if job.stream is None:
        return
    status, ages = job.stream.status(), job.stream.ages
    dropped = ", ".join(f"{count} {reason}" for reason, count in status.dropped.items()) or "none"
    print(
        f"{status.name}: {status.received} frames came, {status.shown} were shown; age {ages.quantile(0.5):.2f} s "
        f"(median), {ages.largest:.2f} s (largest); dropped: {dropped}; connections: {status.connections}"
    )


def stream_json(job: Job) -> dict[str, object]:
    """The same for :func:`summary_json`."""
    if job.stream is None:
        return {}
    status, ages = job.stream.status(), job.stream.ages
    return {
        "stream": {
            "name": status.name,
            "received": status.received,
            "shown": status.shown,
            "dropped": dict(status.dropped),
            "connections": status.connections,
            "age_s": {"median": round(ages.quantile(0.5), 3), "largest": round(ages.largest, 3)},
        }
    }


def print_pushes(job: Job) -> None:
    """What was sent of the overlay and what was not, and why: a line for each receiver."""
    for push in job.pushes:
        status = push.monitor.status()
        dropped = ", ".join(f"{count} {reason}" for reason, count in status.dropped.items()) or "none"
        print(f"{status.name}: {status.shown} frames sent; dropped: {dropped}; connections: {status.connections}")


def pushes_json(job: Job) -> dict[str, object]:
    """The same for :func:`summary_json`."""
    found = [(push.monitor.status(), push.monitor.ages) for push in job.pushes]
    return (
        {
            "pushes": [
                {
                    "name": status.name,
                    "sent": status.shown,
                    "dropped": dict(status.dropped),
                    "connections": status.connections,
                    **(
                        {"age_s": {"median": round(ages.quantile(0.5), 3), "largest": round(ages.largest, 3)}}
                        if len(ages)
                        else {}
                    ),
                }
                for status, ages in found
            ]
        }
        if found
        else {}
    )


def steadiness_json(job: Job) -> dict[str, object]:
    """The same for :func:`summary_json`."""
    result: dict[str, object] = {}
    if job.temporal is not None:
        result["keyframes"] = job.temporal.keyframes
    if job.flicker is not None:
        share = job.flicker.meter.share
        result["flicker"] = None if share is None else round(share, 6)
    return result


def summary_json(outcome: Outcome, counted: Sequence[str], problems: Sequence[str], more: Mapping[str, object]) -> str:
    """The same as one JSON object, with ``more`` in it."""
    return json.dumps(summary(outcome, counted, problems, more), ensure_ascii=False)


def summary(
    outcome: Outcome, counted: Sequence[str], problems: Sequence[str], more: Mapping[str, object]
) -> dict[str, object]:
    """What :func:`summary_json` writes."""
    return {
        "frames": outcome.frames,
        "seconds": round(outcome.seconds, 3),
        "frames_per_second": round(outcome.frames / outcome.seconds, 2) if outcome.seconds else 0.0,
        "complete": not (problems or outcome.error or outcome.stopped),
        "problems": [*problems, *([str(outcome.error)] if outcome.error else [])],
        **more,
        "stages": {
            name: {
                "median_ms": round(1e3 * times.quantile(0.5), 3),
                "p99_ms": round(1e3 * times.quantile(0.99), 3),
                "cpu_ms": round(1e3 * times.cpu.mean, 3),
            }
            for name, times in outcome.stages.items()
        },
        "classes": {
            name: {
                "pixels": outcome.areas[name].pixels,
                "share": round(outcome.areas[name].pixels / outcome.pixels, 6),
            }
            for name in counted
        },
    }
