"""The part of ``rsseg-run`` that is for several videos and streams."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rsseg_edge.cli import INTERRUPTED, say, stop_by_signal
from rsseg_edge.cli.log import beside_log
from rsseg_edge.cli.progress import LaneProgress
from rsseg_edge.cli.summary import say_asked, steadiness_json, stream_json, summary
from rsseg_edge.job import Request
from rsseg_edge.several import Lane, SeveralJobs


def run_several(request: Request, inputs: Sequence[str], as_json: bool, log: str | None) -> None:
    """Run all of them; exit with the worst of their codes.

    Raises:
        UsageError: the request cannot be met.
        RssegError: not one of the inputs can be read.
    """
    jobs = SeveralJobs(
        request, inputs, lambda line: say(f"warning: {line}"), say, fail=lambda line: say(f"error: {line}")
    )
    say_asked(jobs.model)
    stop_by_signal(jobs.stop)
    expected = {lane.name: None if lane.job is None else lane.job.source.expected for lane in jobs.lanes}
    with LaneProgress(expected) as progress:
        jobs.run(progress.advance)
    if as_json:
        print(_json(jobs))
    else:
        with beside_log(log):
            _print(jobs, request)
    if jobs.exit_code:
        sys.exit(jobs.exit_code)
    if jobs.stopped:
        say(f"interrupted: what is done is in {request.out}")
        sys.exit(INTERRUPTED)


def _print(jobs: SeveralJobs, request: Request) -> None:
    console = Console()
    live = any(lane.job is not None and lane.job.stream is not None for lane in jobs.lanes)
    numbers = ("frames", "a [dim]second[/]", *(("age [dim]s[/]", "largest", "dropped", "connections") if live else ()))
    table = Table("input", *numbers, "", box=None, pad_edge=False)
    table.columns[0].overflow = "fold"
    for column in table.columns[1:-1]:
        column.justify = "right"
    for lane in jobs.lanes:
        table.add_row(*_row(lane, live))
    console.print(table)
    classes = _classes(jobs)
    if classes is not None:
        console.print(classes)
    counts = jobs.batches
    if counts.calls:
        how = "frames at once" if counts.joins else "frame at a time, in turn: the model takes no more"
        mean = f"{counts.frames / counts.calls:.1f}" if counts.joins else "1"
        milliseconds = 1e3 * counts.times.quantile(0.5)
        print(f"network: {counts.frames} frames in {counts.calls} calls, {mean} {how}; {milliseconds:.1f} ms (median)")
    print(f"-> {request.out}/{{{','.join(lane.name for lane in jobs.lanes)}}}")


def _row(lane: Lane, live: bool) -> list[str]:
    outcome, stream = lane.outcome, lane.job.stream if lane.job is not None else None
    if outcome is None:
        return [escape(lane.name), *["-"] * (6 if live else 2), "failed" if lane.error else "never came"]
    rate = f"{outcome.frames / outcome.seconds:.1f}" if outcome.seconds else "-"
    numbers = ["-"] * 4 if live else []
    if stream is not None:
        status = stream.status()
        ages = f"{stream.ages.quantile(0.5):.2f}", f"{stream.ages.largest:.2f}"
        numbers = [*ages, str(sum(status.dropped.values())), str(status.connections)]
    return [escape(lane.name), str(outcome.frames), rate, *numbers, "failed" if lane.error else ""]


def _classes(jobs: SeveralJobs) -> Table | None:
    """Area share of each class in each input."""
    lanes = [lane for lane in jobs.lanes if lane.job is not None and lane.outcome is not None and lane.outcome.frames]
    named = (lane.job.counted(lane.outcome) for lane in lanes if lane.job is not None and lane.outcome is not None)
    counted = list(dict.fromkeys(name for names in named for name in names))
    if not counted:
        return None
    table = Table("", "area [dim]%[/]", *(escape(lane.name) for lane in lanes), box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for name in counted:
        areas = [(lane.outcome.areas.get(name), lane.outcome.pixels) for lane in lanes if lane.outcome is not None]
        red, green, blue = next(area.color for area, _ in areas if area is not None)
        shares = [f"{100 * area.pixels / pixels:.1f}" if area is not None else "0.0" for area, pixels in areas]
        table.add_row(f"[rgb({red},{green},{blue})]██[/]", escape(name), *shares)
    return table


def _json(jobs: SeveralJobs) -> str:
    inputs = []
    for lane in jobs.lanes:
        found: dict[str, object] = {"name": lane.name, "complete": False}
        if lane.job is not None:
            found["out"] = str(lane.job.out)
        if lane.job is not None and lane.outcome is not None:
            more = steadiness_json(lane.job) | stream_json(lane.job)
            found |= summary(lane.outcome, lane.job.counted(lane.outcome), lane.problems, more)
        elif lane.error is not None:
            found["problems"] = [*lane.problems, str(lane.error)]
        inputs.append(found)
    counts = jobs.batches
    network = {
        "calls": counts.calls,
        "frames": counts.frames,
        "largest_batch": counts.largest,
        "median_ms": round(1e3 * counts.times.quantile(0.5), 3),
    }
    return json.dumps({"inputs": inputs, "network": network}, ensure_ascii=False)
