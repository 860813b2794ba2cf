"""Set a training run up from what the command line names, and show its progress."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric, seed_everything
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rsseg_edge.datasets.reader import open_dataset
from rsseg_edge.datasets.relabelled import Relabelled
from rsseg_edge.datasets.sample import SegmentationDataset
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.evaluation.evaluate import evaluate
from rsseg_edge.training.checkpoint import load_model
from rsseg_edge.training.loop import Run, train
from rsseg_edge.training.predict import task_segmenter
from rsseg_edge.training.recipe import load_recipe
from rsseg_edge.training.task import AS_CONFIGURED, SemanticTask, Start, build_task, trainable_models
from rsseg_edge.types import ClassTable


def start_training(
    model: str,
    data: str,
    root: Path | None,
    folder: Path,
    *,
    overrides: dict[str, Any],
    seed: int,
    precision: str,
    accelerator: str,
    threads: int | None,
    resume: bool,
    start: Start = AS_CONFIGURED,
    also: Sequence[str] = (),
) -> None:
    """Train and leave the results in ``folder``. See ``rsseg-train --help`` for the arguments.

    ``also`` are further data sets, ``"DATA:SHARE"`` or ``"DATA:SHARE:DIR"`` each, of which only the classes count that
    ``data`` has too.

    Raises:
        UsageError: an unknown model or data set, an impossible recipe, a folder that belongs to another run.
        RssegError: a file cannot be read or written.
    """
    if model not in trainable_models():
        raise UsageError(f"unknown model '{model}': there are {', '.join(trainable_models())}")
    try:
        recipe = load_recipe(model, **overrides)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if threads:
        torch.set_num_threads(threads)
    try:
        fabric = Fabric(
            accelerator=accelerator,
            devices=int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
            num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", 1)),
            precision=precision,
        )  # type: ignore[arg-type]
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"--accelerator {accelerator} --precision {precision}: {str(error).splitlines()[0]}") from None
    fabric.launch()
    validation = open_dataset(data, root, "val")
    train_sets = _mixed(open_dataset(data, root, "train"), also)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RssegError(f"cannot make the run's folder {folder}: {error.strerror}") from None
    seed_everything(seed, verbose=False)
    task, origin = _new_task(model, train_sets[0][0].classes, start)
    record = {
        "data": ", ".join(f"{set_.spec.name} {100 * share:g} %" for set_, share in train_sets),
        "split": f"{len(train_sets[0][0])} training images, {len(validation)} validation images",
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
        "start": origin,
    }

    def validate(current: SemanticTask) -> float:
        segmenter = task_segmenter(current, validation.classes)
        return float(evaluate(lambda image: segmenter(image).class_map, validation).miou)

    console = Console(stderr=True)
    with Progress(
        TextColumn(f"{model}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]}  validation mIoU {task.fields[miou]}"),
        console=console, disable=not fabric.is_global_zero,
    ) as bar:  # fmt: skip
        line = bar.add_task(model, total=recipe.steps, loss="-", miou="-")

        def progress(step: int, loss: float, miou: float | None) -> None:
            bar.update(line, completed=step, loss=f"{loss:.3f}")
            if miou is not None:
                bar.update(line, miou=f"{100 * miou:.1f} %")

        run = Run(model, recipe, seed, folder, record)
        train(fabric, run, task, train_sets, validate, resume=resume, progress=progress)
    if fabric.is_global_zero:
        console.print(f"[bold]{folder}[/]: model.safetensors, log.csv, curves.png")


def _new_task(model: str, classes: ClassTable, start: Start) -> tuple[SemanticTask, dict[str, Any]]:
    """The network to train, and what the record says of its start: an earlier run with all that its own says."""
    named = {name: value for name, value in dataclasses.asdict(start).items() if value is not None}
    if start.model is None:
        return build_task(model, classes, start=start), named
    path = Path(start.model)
    task, trained = load_model(path)
    if trained.model != model or trained.classes.names != classes.names:
        raise UsageError(
            f"{path} is a {trained.model} of {', '.join(trained.classes.names)}: "
            f"{model} of {', '.join(classes.names)} cannot go on from it"
        )
    return task.train(), {"model": path.name, "record": trained.record}


def _mixed(data: SegmentationDataset, also: Sequence[str]) -> list[tuple[SegmentationDataset, float]]:
    """The training set and the further ones, with the share of crops that each gives."""
    sets: list[tuple[SegmentationDataset, float]] = []
    for text in also:
        name, _, rest = text.partition(":")
        share, _, root = rest.partition(":")
        try:
            sets.append((Relabelled(open_dataset(name, root or None, "train"), data.classes), float(share)))
        except ValueError:
            raise UsageError(f"--also {text}: it takes DATA:SHARE or DATA:SHARE:DIR, for instance scenes:0.2") from None
    left = 1 - sum(share for _, share in sets)
    if left <= 0 or any(share <= 0 for _, share in sets):
        raise UsageError(f"--also {' '.join(also)}: shares are above 0 and leave some for {data.spec.name}")
    return [(data, left), *sets]
