"""Scores of a bundle at the settings that it is used at, for its manifest."""

from __future__ import annotations

from pathlib import Path

from rsseg_edge.bundle import Score, open_bundle
from rsseg_edge.evaluation.evaluate import evaluate
from rsseg_edge.evaluation.match import match_classes
from rsseg_edge.segmenter import load


def score_bundle(bundle: Path, data: str, root: Path | None, split: str = "val") -> tuple[Score, ...]:
    """Measure at the long side for still images and at the one for video.

    Raises:
        UsageError: the data set or its classes do not fit.
        RssegError: the bundle or a file of the data is unreadable.
    """
    from rsseg_edge.datasets.reader import open_dataset

    spec = open_bundle(bundle).manifest.input
    dataset = open_dataset(data, root, split)
    scores = []
    for what, long_side in (("still images", spec.image_long_side), ("video", spec.video_long_side)):
        segmenter = load(bundle, long_side=long_side)
        match = match_classes(dataset.classes, segmenter.classes, ())
        matrix = evaluate(lambda image, s=segmenter: s(image).class_map, dataset, match=match)  # type: ignore[misc]
        segmenter.close()
        setting = f"{what}: long side at most {long_side} px"
        if spec.height:
            setting += f", input fixed to {spec.height}x{spec.width}"
        iou = {name: float(value) for name, value in zip(matrix.classes.names, matrix.iou, strict=True)}
        overall = float(matrix.overall_accuracy)
        scores.append(
            Score(data=data, split=split, setting=setting, miou=float(matrix.miou), iou=iou, overall_accuracy=overall)
        )
    return tuple(scores)
