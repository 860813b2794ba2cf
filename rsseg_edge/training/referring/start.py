"""Set the training of a model that reads sentences up from what the command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsseg_edge.datasets.reader import open_dataset
from rsseg_edge.datasets.referring import ReferringDataset, is_given, open_given
from rsseg_edge.errors import UsageError
from rsseg_edge.evaluation.referring import Samples, evaluate_referring
from rsseg_edge.training.recipe import Recipe
from rsseg_edge.training.referring.predict import TorchReferring, border_of
from rsseg_edge.training.referring.source import DrawnSource, GivenSource, ReferringSource
from rsseg_edge.training.referring.task import ReferringTask, build_referring, load_referring
from rsseg_edge.training.referring.tokens import tokenizer_of
from rsseg_edge.training.session import Settings, begin, run_training
from rsseg_edge.training.start import describe, shared
from rsseg_edge.training.task import Start

METRIC = "mean IoU"


def start_referring(
    model: str, data: str, root: Path | None, settings: Settings, *, start: Start, also: Sequence[str] = ()
) -> None:
    """Train and leave the results in the settings' folder.

    Args:
        model: a configuration of CRIS.
        data: a data set with sentences, which are then learnt, or with masks alone, for which they are made.
        root: its folder.
        settings: see :class:`Settings`.
        start: what the network starts from.
        also: further data sets with masks, ``"DATA:SHARE"`` or ``"DATA:SHARE:DIR"``, each with classes of its own.

    Raises:
        UsageError: an unknown data set, an impossible recipe, a folder that belongs to another run.
        RssegError: a file cannot be read or written.
    """
    recipe = settings.recipe(model)
    if start.text_encoder or start.text_weights:
        raise UsageError(f"model {model} has one text encoder: --text-encoder and --text-weights are SegCLIP's")
    fabric = begin(settings)
    if recipe.batch // fabric.world_size * recipe.sentences < 2:
        raise UsageError("a batch of one sentence has no statistics to normalise by: --batch 2 or more a process")
    task, origin = _new_task(model, start)
    config = task.network.config
    if recipe.crop.size % 32:
        raise UsageError(f"crop.size {recipe.crop.size}: the network takes multiples of 32")
    source, validation, record = _data(data, root, also, recipe, task, settings.seed)

    def validate(current: ReferringTask) -> float:
        return evaluate_referring(TorchReferring(current), validation).scores().mean_iou

    record |= {"start": origin, "phrasings": "train", "image_size": config.image_size}
    run_training(fabric, settings, model, task, source, validate, record=record, metric=METRIC)


def _data(
    data: str, root: Path | None, also: Sequence[str], recipe: Recipe, task: ReferringTask, seed: int
) -> tuple[ReferringSource, Samples, dict[str, Any]]:
    """Batches, what is validated on, and what the record says of both."""
    config = task.network.config
    tokenizer, border = tokenizer_of(config), border_of(config)
    if is_given(data):
        if also:
            raise UsageError(f"data {data} has sentences of its own: --also adds to data whose sentences are made")
        train, val = open_given(data, root, "train"), open_given(data, root, "val")
        given = GivenSource(train, recipe.crop.size, recipe.sentences, tokenizer, border, seed)
        split = f"{len(train)} training images, {len(val)} validation images"
        return given, val, {"data": train.spec.name, "split": split}
    left, further = shared(also)
    sets = [(open_dataset(data, root, "train"), left), *further]
    labelled = open_dataset(data, root, "val")
    drawn = DrawnSource(sets, recipe, tokenizer, border, seed)
    split = f"{len(sets[0][0])} training images, {len(labelled)} validation images"
    return drawn, ReferringDataset(labelled), {"data": describe(sets), "split": split}


def _new_task(model: str, start: Start) -> tuple[ReferringTask, dict[str, Any]]:
    """The network to train, and what the record says of its start."""
    if start.model is None:
        named = {"backbone_weights": Path(start.backbone_weights).name} if start.backbone_weights else {}
        return build_referring(model, backbone_weights=start.backbone_weights), named
    path = Path(start.model)
    task, trained = load_referring(path)
    if trained.model != model:
        raise UsageError(f"{path} is a {trained.model}: {model} cannot go on from it")
    return task.train(), {"model": path.name, "record": trained.record}
