"""Scores of referring segmentation as a table for the terminal and as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rsseg_edge.evaluation.referring import THRESHOLDS, ReferringCounts, ReferringScores

if TYPE_CHECKING:
    from rich.table import Table


def referring_table(counts: ReferringCounts, title: str) -> Table:
    """The measures of each kind of expression and of all, in percent, as a rich table."""
    from rich.table import Table

    table = Table(title=title, caption="percent; Pr@t: expressions with an IoU above t")
    table.add_column("kind")
    for column in ("expressions", "overall IoU", "mean IoU", *(f"Pr@{t}" for t in THRESHOLDS)):
        table.add_column(column, justify="right")
    for kind in counts.kinds:
        table.add_row(kind, *_cells(counts.scores(kind)))
    table.add_section()
    table.add_row("all", *_cells(counts.scores()))
    return table


def referring_json(counts: ReferringCounts, **context: Any) -> dict[str, Any]:
    """All measures, ready for ``json.dumps``; undefined ones are null. ``context`` comes first."""
    return {
        **context,
        **_numbers(counts.scores()),
        "kinds": {kind: _numbers(counts.scores(kind)) for kind in counts.kinds},
    }


def _cells(scores: ReferringScores) -> list[str]:
    shares = (scores.overall_iou, scores.mean_iou, *scores.precision.values())
    return [str(scores.expressions), *("-" if math.isnan(share) else f"{100 * share:.1f}" for share in shares)]


def _numbers(scores: ReferringScores) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    return {
        "expressions": scores.expressions,
        "overall_iou": number(scores.overall_iou),
        "mean_iou": number(scores.mean_iou),
        "precision": {str(t): number(value) for t, value in scores.precision.items()},
    }
