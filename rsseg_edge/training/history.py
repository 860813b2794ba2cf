"""The run's log: one CSV row a step or validation, and a picture of the curves."""

from __future__ import annotations

import csv
from pathlib import Path

from rsseg_edge.errors import RssegError
from rsseg_edge.training.checkpoint import write_atomically


class History:
    """Rows of ``log.csv``. On resume the rows after the checkpoint are dropped: those steps are run again."""

    def __init__(self, folder: Path, start: int, metric: str = "mIoU") -> None:
        self._metric = metric
        self._columns = ("step", "loss", "lr", "seconds", metric)
        self._path = folder / "log.csv"
        self._picture = folder / "curves.png"
        self.rows: list[dict[str, float | str]] = []
        if start and self._path.is_file():
            with open(self._path, newline="") as file:
                # a row that was cut off has no value in its last column
                self.rows = [
                    dict(r) for r in csv.DictReader(file) if r.get(metric) is not None and int(r["step"]) <= start
                ]
        write_atomically(self._path, self._write_all)

    def add(self, step: int, loss: float, lr: float, seconds: float, score: float | None = None) -> None:
        """Append one row: the step's loss, learning rate and duration; the metric (0..1) where it was validated.

        Raises:
            RssegError: the disk is full or the folder not writable.
        """
        self.rows.append(
            {
                "step": step,
                "loss": f"{loss:.6f}",
                "lr": f"{lr:.8f}",
                "seconds": f"{seconds:.3f}",
                self._metric: "" if score is None else f"{score:.5f}",
            }
        )
        try:
            with open(self._path, "a", newline="") as file:
                csv.DictWriter(file, self._columns).writerow(self.rows[-1])
        except OSError as error:
            raise RssegError(f"cannot write {self._path}: {error.strerror}") from None

    def draw(self) -> None:
        """Write ``curves.png``: the loss, smoothed over 25 steps, and the validation metric."""
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
        import numpy as np

        step = np.array([int(r["step"]) for r in self.rows])
        loss = np.array([float(r["loss"]) for r in self.rows])
        checks = [(int(r["step"]), 100 * float(r[self._metric])) for r in self.rows if r[self._metric] != ""]
        figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
        width = min(25, len(loss))
        if width:
            smooth = np.convolve(loss, np.ones(width) / width, "valid")
            axis.plot(step, loss, color="0.85", linewidth=0.8)
            axis.plot(step[width - 1 :], smooth, color="tab:blue", label="training loss")
        axis.set(xlabel="step", ylabel="training loss")
        axis.set_ylim(bottom=min(0.0, *loss) if width else 0.0)  # likelihoods may be above 1, and their loss below 0
        if checks:
            right = axis.twinx()
            right.plot(*zip(*checks, strict=True), color="tab:orange", marker="o", label=f"validation {self._metric}")
            right.set(ylabel=f"validation {self._metric}, %", ylim=(0, 100))
        figure.legend(loc="outside upper center", ncols=2)
        write_atomically(self._picture, lambda path: figure.savefig(path, format="png", dpi=120))
        plt.close(figure)

    def _write_all(self, path: Path) -> None:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(self.rows)
