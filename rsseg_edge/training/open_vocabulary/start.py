"""Set the small open-vocabulary network's training up from what the command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from rsseg_edge.datasets.reader import open_dataset
from rsseg_edge.errors import UsageError
from rsseg_edge.evaluation.evaluate import evaluate
from rsseg_edge.models.segearth_ov.tiny.config import load_config
from rsseg_edge.models.segearth_ov.tiny.network import SegEarthOVTiny
from rsseg_edge.models.segearth_ov.tiny.sentence import WordEncoder
from rsseg_edge.training.crops import CropSource
from rsseg_edge.training.open_vocabulary.predict import load_weights, predictor
from rsseg_edge.training.open_vocabulary.task import OpenVocabularyTask
from rsseg_edge.training.open_vocabulary.words import Words, training_words
from rsseg_edge.training.session import Settings, begin, run_training
from rsseg_edge.training.start import describe, mixed, split
from rsseg_edge.training.task import Start

MODEL = "segearth-ov-tiny"
CAPTIONS = 24  # of a set of classes


def start_open_vocabulary(
    data: str, root: Path | None, settings: Settings, *, start: Start, also: Sequence[str] = ()
) -> None:
    """Train ``segearth-ov-tiny`` and leave the results in the settings' folder.

    Args:
        data: a data set whose classes have training words.
        root: its folder.
        settings: see :class:`Settings`.
        start: its backbone's weights, and a run to go on from.
        also: see :func:`rsseg_edge.training.start.start_training`.

    Raises:
        UsageError: an unknown data set, a class without words, a text encoder other than the model's own.
        RssegError: a file cannot be read or written.
    """
    if start.text_encoder is not None or start.text_weights is not None:
        raise UsageError(f"{MODEL} has a sentence encoder of its own: --text-encoder and --text-weights do not apply")
    recipe = settings.recipe(MODEL)
    validation = open_dataset(data, root, "val")
    train_sets = mixed(open_dataset(data, root, "train"), also)
    classes = train_sets[0][0].classes
    words = training_words(classes.names)
    fabric = begin(settings)
    config = load_config(MODEL)
    if start.backbone_weights is not None:
        backbone = config.backbone.model_copy(update={"weights": start.backbone_weights})
        config = config.model_copy(update={"backbone": backbone})
    network = SegEarthOVTiny(config, pretrained=start.model is None)
    if start.model is not None:
        load_weights(network, Path(start.model))
    encoder = WordEncoder(config.text.name, config.templates)
    task = _task(network, words, encoder)
    text = encoder.words([own[0] for own in words.classes])

    def validate(current: OpenVocabularyTask) -> float:
        return float(evaluate(predictor(current.network, text.to(current.network.text_mean.device)), validation).miou)

    record = {
        "data": describe(train_sets),
        "split": split(train_sets, validation),
        "words": sum(map(len, words.classes)),
        "start": {"model": Path(start.model).name} if start.model else {},
    }
    source = CropSource(train_sets, recipe.crop, settings.seed)
    run_training(fabric, settings, MODEL, task, source, validate, record=record, classes=classes)


def _task(network: SegEarthOVTiny, words: Words, encoder: WordEncoder) -> OpenVocabularyTask:
    features = [encoder.words(own) for own in words.classes]
    absent = encoder.words(words.absent)
    # Every class has the same say in the mean, however many words it has.
    network.text_mean.copy_(torch.stack([own.mean(0) for own in (*features, absent)]).mean(0))
    sets = words.captions(0, CAPTIONS)
    captions = torch.stack([encoder.sentences(variants) for _, variants in sets])
    members = torch.zeros(len(sets), len(words.classes), dtype=torch.bool)
    for row, (chosen, _) in enumerate(sets):
        members[row, list(chosen)] = True
    return OpenVocabularyTask(network, features, absent, captions, members)
