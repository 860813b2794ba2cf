"""Prints and writes how fast the CPU kernels are, next to what they replace."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rsseg_edge.kernels.bench.comparisons import run


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m rsseg_edge.kernels.bench", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7, help="every figure is the median of so many runs")
    parser.add_argument("--skip-published", action="store_true", help="leave out the published form: minutes and 13 GB")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args()
    report = run(arguments.threads, arguments.rounds, published=not arguments.skip_published)
    for line in report.lines():
        print(line)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
