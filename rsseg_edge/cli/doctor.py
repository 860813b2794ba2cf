"""``rsseg-doctor``: what is installed, what fits what, and what mends it."""

from __future__ import annotations

import sys

import typer

from rsseg_edge.cli import run_app

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def doctor() -> None:
    """Look at this machine and print a line for each thing, with the command that mends it below what is amiss.

    Exit codes: 0 nothing is amiss, 1 something is.
    """
    from rsseg_edge.doctor import examine

    findings = examine()
    width = max(len(finding.about) for finding in findings)
    for finding in findings:
        print(f"{finding.about:<{width}}  {finding.found}")
        if finding.remedy:
            print(f"{'':<{width}}  -> {finding.remedy}")
    if any(finding.remedy for finding in findings):
        sys.exit(1)


def main() -> None:
    """Entry point of ``rsseg-doctor``."""
    run_app(app)


if __name__ == "__main__":
    main()
