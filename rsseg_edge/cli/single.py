"""The part of ``rsseg-run`` that is for one video, one stream or a set of still images."""

from __future__ import annotations

import sys

from rsseg_edge.cli import INTERRUPTED, say, stop_by_signal
from rsseg_edge.cli.log import beside_log
from rsseg_edge.cli.progress import FrameProgress
from rsseg_edge.cli.summary import (
    print_pushes,
    print_steadiness,
    print_stream,
    print_table,
    pushes_json,
    say_asked,
    steadiness_json,
    stream_json,
    summary_json,
)
from rsseg_edge.job import Job, Request


def run_single(request: Request, as_json: bool, log: str | None) -> None:
    """Run it; exit with 1 where something was left out, with 130 where it was interrupted.

    Raises:
        UsageError: the request cannot be met.
        RssegError: the input cannot be read, or a stage failed.
    """
    problems: list[str] = []

    def report(line: str) -> None:
        problems.append(line)
        say(f"warning: {line}")

    job = Job(request, report, say)
    say_asked(job.model)
    stop_by_signal(job.stop)
    with FrameProgress(job.source.expected) as progress:
        outcome = job.run(on_result=progress.advance)
    if as_json:
        more = steadiness_json(job) | stream_json(job) | pushes_json(job)
        print(summary_json(outcome, job.counted(outcome), problems, more))
    else:
        with beside_log(log):
            print_table(outcome, job.counted(outcome), request.out)
            print_steadiness(job, outcome)
            print_stream(job)
            print_pushes(job)
    if outcome.error is not None:
        raise outcome.error
    if outcome.stopped:
        say(f"interrupted: {outcome.frames} frames are in {request.out}")
        sys.exit(INTERRUPTED)
    if problems:
        sys.exit(1)
