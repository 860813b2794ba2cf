"""The sets that open-vocabulary models are compared on, one after the other, beside the published figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsseg_edge.datasets.table import DatasetSpec, benchmark_sets
from rsseg_edge.errors import UsageError
from rsseg_edge.evaluation.confusion import ConfusionMatrix
from rsseg_edge.evaluation.evaluate import evaluate
from rsseg_edge.evaluation.vocabulary import OpenVocabulary, match_subject

if TYPE_CHECKING:
    from rich.table import Table

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Row:
    """One set.

    Attributes:
        spec: its row of the data table, with its benchmark.
        images: measured; 0 where the set is absent.
        matrix: None where the set is absent.
    """

    spec: DatasetSpec
    images: int = 0
    matrix: ConfusionMatrix | None = None

    @property
    def published(self) -> float | None:
        """0..1; None where it is not known."""
        percent = self.spec.benchmark.published if self.spec.benchmark else None
        return None if percent is None else percent / 100

    @property
    def measured(self) -> float | None:
        """The score as the paper counts it, 0..1; None where the set is absent."""
        if self.matrix is None or self.spec.benchmark is None:
            return None
        name = self.spec.benchmark.iou_of
        score = self.matrix.miou if name is None else float(self.matrix.iou[self.matrix.classes.index(name)])
        return None if math.isnan(score) else score


def find_sets(root: Path) -> dict[str, Path]:
    """Folders of the sets that are below ``root``: by the name of the row, or as the published preparation names them.

    Raises:
        UsageError: there is none.
    """
    found: dict[str, Path] = {}
    for spec in benchmark_sets():
        assert spec.benchmark is not None
        folders = [root / spec.name, root / spec.benchmark.folder]
        if folder := next((folder for folder in folders if folder.is_dir()), None):
            found[spec.name] = folder
    if not found:
        names = ", ".join(spec.name for spec in benchmark_sets())
        raise UsageError(f"--root {root}: none of the sets is there, each in a folder of its name: {names}")
    return found


def measure_sets(
    subject: OpenVocabulary, root: Path, *, max_images: int | None = None, progress: Progress | None = None
) -> list[Row]:
    """Measure a model on every set below ``root``, with its words, threshold and background.

    Args:
        subject: a segmenter of an open vocabulary.
        root: see :func:`find_sets`.
        max_images: of each set, spread over it; all where it is None.
        progress: told the set, and its images done and in all.

    Returns:
        A row for each set of the table, in its order.

    Raises:
        UsageError: no set is there, or one is incomplete.
        RssegError: a file cannot be read.
    """
    from rsseg_edge.datasets.reader import open_dataset

    folders = find_sets(root)
    specs = benchmark_sets()
    # All are opened before any is measured: a mistake in the last folder is found now and not hours later.
    datasets = {s.name: open_dataset(s.name, folders[s.name], s.benchmark.split) for s in specs
                if s.benchmark and s.name in folders}  # fmt: skip
    rows = []
    for spec in specs:
        if spec.name not in datasets:
            rows.append(Row(spec))
            continue
        dataset = datasets[spec.name]
        match = match_subject(subject, spec)
        report = None if progress is None else _named(progress, spec.name)
        matrix = evaluate(lambda image: subject(image).class_map, dataset, report, match=match, max_images=max_images)
        rows.append(Row(spec, min(len(dataset), max_images or len(dataset)), matrix))
    return rows


def _named(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


def mean(rows: list[Row]) -> tuple[float | None, float | None]:
    """Mean published and measured score over the sets of which both are known; None where there is no such set."""
    both = [(row.published, row.measured) for row in rows if row.published is not None and row.measured is not None]
    if not both:
        return None, None
    published, measured = (sum(column) / len(both) for column in zip(*both, strict=True))
    return published, measured


def rows_to_json(rows: list[Row], **context: Any) -> dict[str, Any]:
    """Everything that is known, ready for ``json.dumps``; what is not is null. ``context`` comes first."""
    published, measured = mean(rows)
    return {
        **context,
        "sets": {row.spec.name: _row_to_json(row) for row in rows},
        "mean": {"published": published, "measured": measured},
    }


def rows_to_table(rows: list[Row], title: str) -> Table:
    """The paper's table with what was measured beside it, in percent."""
    from rich.table import Table

    table = Table(title=title, caption=_caption(rows))
    table.add_column("data set")
    table.add_column("score")
    for column in ("images", "published", "measured"):
        table.add_column(column, justify="right")
    for row in rows:
        name = row.spec.benchmark.iou_of if row.spec.benchmark else None
        score = f"IoU {name}" if name else "mIoU"
        table.add_row(row.spec.name, score, str(row.images or "-"), _percent(row.published), _percent(row.measured))
    table.add_section()
    table.add_row("mean", "", "", *(_percent(value) for value in mean(rows)))
    return table


def _row_to_json(row: Row) -> dict[str, Any]:
    benchmark = row.spec.benchmark
    assert benchmark is not None
    iou = {} if row.matrix is None else {s.name: _number(s.iou) for s in row.matrix.scores()}
    return {
        "score": f"IoU {benchmark.iou_of}" if benchmark.iou_of else "mIoU",
        "split": benchmark.split,
        "threshold": benchmark.threshold,
        "images": row.images,
        "published": row.published,
        "measured": row.measured,
        "iou": iou,
    }


def _caption(rows: list[Row]) -> str:
    both = sum(row.published is not None and row.measured is not None for row in rows)
    lines = [f"percent; mean over the {both} sets of which both figures are known"]
    for row in rows:
        benchmark = row.spec.benchmark
        if benchmark and row.matrix is not None and benchmark.cls_token_lambda != -0.3:
            lines.append(f"{row.spec.name}: the published configuration has lambda {benchmark.cls_token_lambda:g}")
    return "; ".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
