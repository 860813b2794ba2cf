"""Scores of a bundle at the settings that it is used at, for its manifest."""

from __future__ import annotations

from pathlib import Path

from rsseg_edge.bundle import open_bundle
from rsseg_edge.evaluation.evaluate import evaluate
from rsseg_edge.evaluation.match import match_classes
from rsseg_edge.precision import Score
from rsseg_edge.segmenter import Segmenter, load
from rsseg_edge.types import UInt8Array

FRAME_WIDTH = 1280


def score_bundle(bundle: Path, data: str, root: Path | None, split: str = "val") -> tuple[Score, ...]:
    """Measure as still images are segmented, and at the scale that a video frame 1280 pixels wide is seen at.

    Raises:
        UsageError: the data set or its classes do not fit.
        RssegError: the bundle or a file of the data is unreadable.
    """
    from rsseg_edge.datasets.reader import open_dataset

    spec = open_bundle(bundle).manifest.input
    dataset = open_dataset(data, root, split)
    segmenter = load(bundle)
    match = match_classes(dataset.classes, segmenter.classes, ())
    scale = min(1.0, spec.video_long_side / FRAME_WIDTH)
    settings = {
        f"still images: long side at most {spec.image_long_side} px": None,
        f"video: scaled by {scale:.3g}, as a frame {FRAME_WIDTH} px wide is": scale,
    }
    scores = []
    for setting, factor in settings.items():
        matrix = evaluate(_Scaled(segmenter, factor), dataset, match=match)
        scores.append(
            Score(
                data=data,
                split=split,
                setting=setting,
                miou=float(matrix.miou),
                iou={name: float(value) for name, value in zip(matrix.classes.names, matrix.iou, strict=True)},
                overall_accuracy=float(matrix.overall_accuracy),
            )
        )
    segmenter.close()
    return tuple(scores)


class _Scaled:
    """A segmenter that sees every image scaled by a factor; None leaves it at its own long side."""

    def __init__(self, segmenter: Segmenter, factor: float | None) -> None:
        self._segmenter, self._factor, self._usual = segmenter, factor, segmenter.long_side

    def __call__(self, image: UInt8Array) -> UInt8Array:
        longer = max(image.shape)
        self._segmenter.long_side = self._usual if self._factor is None else max(32, round(longer * self._factor))
        return self._segmenter(image).class_map
