"""The accuracy of what was timed, beside its speed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rsseg_edge.bench.run import Measured
from rsseg_edge.bench.whole import Settings
from rsseg_edge.datasets.reader import open_dataset
from rsseg_edge.datasets.referring import ReferringDataset
from rsseg_edge.evaluation.evaluate import evaluate
from rsseg_edge.evaluation.referring import evaluate_referring
from rsseg_edge.evaluation.subject import Asked
from rsseg_edge.evaluation.vocabulary import match_subject
from rsseg_edge.segmenter import load
from rsseg_edge.segmenters.referring import ReferringSegmenter

SENTENCES = 8
"""About an image, made from its masks, as rsseg-eval makes them."""


def with_accuracy(measured: Measured, model: str, data: str, root: Path | None, settings: Settings) -> Measured:
    """The measurement with mIoU and the IoU of every class, in percent, as ``rsseg-eval`` measures them.

    By the same graphs, the same engine and at the same ``long_side``; where that was left to the bundle, at the one
    that it has for still images. Of a model that reads sentences the mean IoU of sentences in held-out phrasings.

    Args:
        measured: of the model, in one precision.
        model: a shipped bundle's name or a bundle's folder.
        data: a data set of the table, or a TOML file.
        root: folder that it was unpacked in.
        settings: that it was measured with.

    Raises:
        UsageError: there is no such data set, or its classes are not the model's.
        RssegError: an image is unreadable.
    """
    dataset = open_dataset(data, root, "val")
    segmenter = load(
        model,
        long_side=settings.long_side,
        threads=settings.threads,
        engine=settings.engine,
        precision=measured.precision,
    )
    try:
        if isinstance(segmenter, ReferringSegmenter):
            samples = ReferringDataset(dataset, count=SENTENCES, phrasings="held_out")
            counts = evaluate_referring(Asked(segmenter), samples)
            scores = counts.scores()
            accuracy = {"mIoU": scores.mean_iou, "overall IoU": scores.overall_iou}
            accuracy |= {f"above {least}": share for least, share in scores.precision.items()}
            where = f"of {data} val, {scores.expressions} sentences about its still images"
        else:
            match = match_subject(segmenter, dataset.spec)
            matrix = evaluate(lambda image: segmenter(image).class_map, dataset, match=match)
            accuracy = {"mIoU": float(matrix.miou)}
            accuracy |= {n: float(v) for n, v in zip(matrix.classes.names, matrix.iou, strict=True)}
            where = f"of {data} val, still images seen at {segmenter.long_side} pixels at most"
    finally:
        segmenter.close()
    percent = {name: 100 * value for name, value in accuracy.items()}
    return replace(measured, accuracy=percent, about=measured.about | {"accuracy": where})
