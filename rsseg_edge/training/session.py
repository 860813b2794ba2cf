"""What every training shares: processes and precision, the run's folder, the random numbers, the progress bar."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric, seed_everything
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.training.loop import AnyTask, BatchSource, Run, train
from rsseg_edge.training.recipe import Recipe, load_recipe
from rsseg_edge.types import ClassTable


@dataclass(frozen=True)
class Settings:
    """How and where a model is trained; see ``rsseg-train --help``.

    Attributes:
        folder: of the run.
        overrides: of the model's recipe; values that are None are left out.
        seed: crops, weights and sampled points follow from it.
        precision: of Lightning Fabric.
        accelerator: of Lightning Fabric.
        threads: CPU threads of a process; None leaves torch's own choice.
        resume: go on from the folder's checkpoint, if there is one.
    """

    folder: Path
    overrides: dict[str, Any]
    seed: int = 0
    precision: str = "32-true"
    accelerator: str = "auto"
    threads: int | None = None
    resume: bool = True

    def recipe(self, model: str) -> Recipe:
        """The model's recipe with the overrides.

        Raises:
            UsageError: a value is out of its range.
        """
        try:
            return load_recipe(model, **self.overrides)
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def begin(settings: Settings) -> Fabric:
    """Start the processes, make the run's folder, seed the random numbers. To be called before a network is built.

    Raises:
        UsageError: an accelerator or precision that this machine does not have.
        RssegError: the folder cannot be made.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    try:
        fabric = Fabric(
            accelerator=settings.accelerator,
            devices=int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
            num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", 1)),
            precision=settings.precision,
        )  # type: ignore[arg-type]
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"--accelerator {settings.accelerator} --precision {settings.precision}: {str(error).splitlines()[0]}"
        ) from None
    fabric.launch()
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RssegError(f"cannot make the run's folder {settings.folder}: {error.strerror}") from None
    seed_everything(settings.seed, verbose=False)
    return fabric


def run_training(
    fabric: Fabric,
    settings: Settings,
    model: str,
    task: AnyTask,
    source: BatchSource,
    validate: Callable[[AnyTask], float],
    *,
    record: dict[str, Any],
    classes: ClassTable | None = None,
    metric: str = "mIoU",
) -> AnyTask:
    """Train under a progress bar; the arguments are those of :func:`rsseg_edge.training.loop.train`.

    ``record`` is completed with seed and recipe.
    """
    recipe = settings.recipe(model)
    record = record | {"seed": settings.seed, "recipe": recipe.model_dump(mode="json")}
    console = Console(stderr=True)
    with Progress(
        TextColumn(model), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]}  validation " + metric + " {task.fields[score]}"),
        console=console, disable=not fabric.is_global_zero,
    ) as bar:  # fmt: skip
        line = bar.add_task(model, total=recipe.steps, loss="-", score="-")

        def progress(step: int, loss: float, score: float | None) -> None:
            bar.update(line, completed=step, loss=f"{loss:.3f}")
            if score is not None:
                bar.update(line, score=f"{100 * score:.1f} %")

        run = Run(model, recipe, settings.seed, settings.folder, record, classes, metric)
        task = train(fabric, run, task, source, validate, resume=settings.resume, progress=progress)
    if fabric.is_global_zero:
        console.print(f"[bold]{settings.folder}[/]: model.safetensors, log.csv, curves.png")
    return task
