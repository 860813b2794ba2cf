"""Set a semantic model's training up from what the command line names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsseg_edge.datasets.reader import open_dataset
from rsseg_edge.datasets.relabelled import Relabelled
from rsseg_edge.datasets.sample import SegmentationDataset
from rsseg_edge.errors import UsageError
from rsseg_edge.evaluation.evaluate import evaluate
from rsseg_edge.training.adjust import label_adjustment
from rsseg_edge.training.checkpoint import load_model
from rsseg_edge.training.crops import CropSource
from rsseg_edge.training.predict import task_segmenter
from rsseg_edge.training.session import Settings, begin, run_training
from rsseg_edge.training.task import AS_CONFIGURED, SemanticTask, Start, build_task, trainable_models
from rsseg_edge.types import ClassTable


def start_training(
    model: str,
    data: str,
    root: Path | None,
    settings: Settings,
    *,
    start: Start = AS_CONFIGURED,
    also: Sequence[str] = (),
) -> None:
    """Train and leave the results in the settings' folder.

    Args:
        model: a name of ``trainable_models``.
        data: a data set of the table, or a TOML file.
        root: its folder.
        settings: see :class:`Settings`.
        start: what the network starts from.
        also: further data sets, ``"DATA:SHARE"`` or ``"DATA:SHARE:DIR"`` each, of which only the classes count that
            ``data`` has too.

    Raises:
        UsageError: an unknown model or data set, an impossible recipe, a folder that belongs to another run.
        RssegError: a file cannot be read or written.
    """
    if model not in trainable_models():
        raise UsageError(f"unknown model '{model}': there are {', '.join(trainable_models())}")
    recipe = settings.recipe(model)
    validation = open_dataset(data, root, "val")
    train_sets = mixed(open_dataset(data, root, "train"), also)
    fabric = begin(settings)
    classes = train_sets[0][0].classes
    task, origin = _new_task(model, classes, start)
    if recipe.adjust:
        task.adjust(label_adjustment(train_sets[0][0], recipe.adjust))
    record = {"data": describe(train_sets), "split": split(train_sets, validation), "start": origin}

    def validate(current: SemanticTask) -> float:
        segmenter = task_segmenter(current, validation.classes)
        return float(evaluate(lambda image: segmenter(image).class_map, validation).miou)

    source = CropSource(train_sets, recipe.crop, settings.seed)
    run_training(fabric, settings, model, task, source, validate, record=record, classes=classes)


def describe(sets: Sequence[tuple[SegmentationDataset, float]]) -> str:
    """Names and shares of the training sets, for the record."""
    return ", ".join(f"{data.spec.name} {100 * share:g} %" for data, share in sets)


def split(sets: Sequence[tuple[SegmentationDataset, float]], validation: SegmentationDataset) -> str:
    """How many images train and validate, for the record."""
    return f"{len(sets[0][0])} training images, {len(validation)} validation images"


def _new_task(model: str, classes: ClassTable, start: Start) -> tuple[SemanticTask, dict[str, Any]]:
    """The network to train, and what the record says of its start: an earlier run with all that its own says."""
    named = {name: value for name, value in dataclasses.asdict(start).items() if value is not None}
    if start.model is None:
        return build_task(model, classes, start=start), named
    path = Path(start.model)
    task, trained = load_model(path)
    names = trained.table.names
    if trained.model != model or names != classes.names:
        raise UsageError(
            f"{path} is a {trained.model} of {', '.join(names)}: "
            f"{model} of {', '.join(classes.names)} cannot go on from it"
        )
    return task.train(), {"model": path.name, "record": trained.record}


def mixed(data: SegmentationDataset, also: Sequence[str]) -> list[tuple[SegmentationDataset, float]]:
    """The training set and the further ones in its classes, with the share of crops that each gives."""
    left, further = shared(also)
    return [(data, left), *((Relabelled(more, data.classes), share) for more, share in further)]


def shared(also: Sequence[str]) -> tuple[float, list[tuple[SegmentationDataset, float]]]:
    """Further training sets with their shares, and what those leave.

    Args:
        also: ``"DATA:SHARE"`` or ``"DATA:SHARE:DIR"`` each.

    Raises:
        UsageError: one is not of that form, or they leave nothing.
    """
    sets: list[tuple[SegmentationDataset, float]] = []
    for text in also:
        name, _, rest = text.partition(":")
        share, _, root = rest.partition(":")
        try:
            sets.append((open_dataset(name, root or None, "train"), float(share)))
        except ValueError:
            raise UsageError(f"--also {text}: it takes DATA:SHARE or DATA:SHARE:DIR, for instance scenes:0.2") from None
    left = 1 - sum(share for _, share in sets)
    if left <= 0 or any(share <= 0 for _, share in sets):
        raise UsageError(f"--also {' '.join(also)}: shares are above 0 and leave some for --data")
    return left, sets
