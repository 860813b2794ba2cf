"""A confusion matrix as a table for the terminal, as JSON, and as a picture."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.evaluation.confusion import ConfusionMatrix

if TYPE_CHECKING:
    from rich.table import Table


def to_table(matrix: ConfusionMatrix, title: str) -> Table:
    """The measures of each class in percent, and their means, as a rich table."""
    from rich.table import Table

    table = Table(title=title, caption=_caption(matrix))
    table.add_column("class")
    for column in ("IoU", "F1", "precision", "recall", "share"):
        table.add_column(column, justify="right")
    total = max(int(matrix.pixels.sum()), 1)
    for row in matrix.scores():
        shares = (row.iou, row.f1, row.precision, row.recall, row.pixels / total)
        table.add_row(row.name, *(_percent(share) for share in shares))
    table.add_section()
    table.add_row("mean", _percent(matrix.miou), _percent(matrix.mean_f1))
    table.add_row("overall accuracy", _percent(matrix.overall_accuracy))
    return table


def to_json(matrix: ConfusionMatrix, **context: Any) -> dict[str, Any]:
    """Everything that is known, ready for ``json.dumps``; undefined measures are null. ``context`` comes first."""
    rows = matrix.scores()
    return {
        **context,
        "miou": _number(matrix.miou),
        "mean_f1": _number(matrix.mean_f1),
        "overall_accuracy": _number(matrix.overall_accuracy),
        "iou": {row.name: _number(row.iou) for row in rows},
        "f1": {row.name: _number(row.f1) for row in rows},
        "precision": {row.name: _number(row.precision) for row in rows},
        "recall": {row.name: _number(row.recall) for row in rows},
        "pixels": {row.name: row.pixels for row in rows},
        "confusion": {
            "classes": list(matrix.classes.names),
            "rows_are_labels": matrix.counts.tolist(),
            "predicted_as_none_of_them": matrix.other.tolist(),
        },
    }


def check_picture(path: Path) -> None:
    """Find out before a long run, not after it, whether a picture can be drawn and written.

    Raises:
        UsageError: it cannot; the message says what is missing.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError("a picture needs matplotlib: pip install 'rsseg-edge[eval]'") from None
    if not path.parent.is_dir() or path.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"cannot write {path}: its folder does not exist or takes no files")


def draw_png(matrix: ConfusionMatrix, path: Path, title: str) -> None:
    """The confusion matrix with its rows in percent of the label, and the IoU of each class beside it.

    Raises:
        UsageError: as of :func:`check_picture`.
        RssegError: the file cannot be written, a full disk for instance; none is left half written.
    """
    check_picture(path)
    # A Figure of its own rather than pyplot: no global state, and no window system is looked for.
    from matplotlib.figure import Figure

    names, size = matrix.classes.names, len(matrix.classes)
    columns = [*names, *(["other"] if matrix.other.any() else [])]
    counts = np.column_stack([matrix.counts, matrix.other])[:, : len(columns)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(4.5 + 0.8 * size, 2.2 + 0.45 * size), layout="constrained")
    grid, bars = figure.subplots(1, 2, width_ratios=(len(columns), 0.5 * size + 1))
    grid.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    grid.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    grid.set_yticks(range(size), names)
    grid.set_xlabel("predicted")
    grid.set_ylabel("label")
    for (row, column), share in np.ndenumerate(shares):
        text = f"{100 * share:.1f}" if size <= 20 else ""
        grid.text(column, row, text, ha="center", va="center", color="white" if share > 0.55 else "black", fontsize=8)
    iou = np.nan_to_num(matrix.iou)
    bars.barh(range(size), 100 * iou, color=matrix.classes.palette() / 255, edgecolor="0.4")
    for row, share in enumerate(matrix.iou):
        bars.text(100 * iou[row] + 1, row, _percent(float(share)), va="center", fontsize=8)
    bars.set(xlim=(0, 118), ylim=(size - 0.5, -0.5), yticks=[], xlabel="IoU, %")
    figure.suptitle(f"{title}\n{_summary(matrix)}", fontsize=10)
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, dpi=130, format="png")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RssegError(f"cannot write {path}: {error.strerror}") from None


def _summary(matrix: ConfusionMatrix) -> str:
    return f"mIoU {_percent(matrix.miou)} %, overall accuracy {_percent(matrix.overall_accuracy)} %"


def _caption(matrix: ConfusionMatrix) -> str:
    absent = [row.name for row in matrix.scores() if math.isnan(row.iou)]
    means = "percent; means over the classes in labels or predictions"
    return f"{means}, so without {', '.join(absent)}" if absent else means


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
