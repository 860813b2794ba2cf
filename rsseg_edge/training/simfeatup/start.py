"""Set SimFeatUp's training up from what the command line names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rsseg_edge.errors import UsageError
from rsseg_edge.models.segearth_ov.simfeatup import RADIUS, SimFeatUp
from rsseg_edge.training.session import Settings, begin, run_training
from rsseg_edge.training.simfeatup.bilateral import start_as_bilateral_filter
from rsseg_edge.training.simfeatup.crops import ImageCrops, find_images
from rsseg_edge.training.simfeatup.features import load_features
from rsseg_edge.training.simfeatup.task import SimFeatUpTask
from rsseg_edge.training.simfeatup.validate import gain_over_bilinear

MODEL_NAME = "simfeatup"
METRIC = "gain over bilinear"
VALIDATED = 8
"""Crops that validation measures."""


def start_simfeatup(
    images: Path,
    settings: Settings,
    *,
    clip: str = "ViT-B-16",
    clip_weights: str | None = None,
    upsampler: str = "jbu_one",
) -> None:
    """Train an upsampler for a CLIP's features; ``model.safetensors`` is what ``--upsampler-weights`` takes.

    Args:
        images: folder of images, which need no labels.
        settings: see :class:`Settings`.
        clip: see :func:`load_features`.
        clip_weights: see :func:`load_features`.
        upsampler: "jbu_one" or "jbu_stack".

    Raises:
        UsageError: no such folder, CLIP or upsampler, or crops that the patches do not divide.
        RssegError: a file cannot be read or written.
    """
    kind = next((known for known in RADIUS if known == upsampler), None)
    if kind is None:
        raise UsageError(f"unknown upsampler '{upsampler}': there are {', '.join(RADIUS)}")
    settings.recipe(MODEL_NAME)  # a mistake in it is found before CLIP is loaded
    training, held_out = find_images(images)
    fabric = begin(settings)
    features = load_features(clip, clip_weights)
    crop = {"size": features.crop} | settings.overrides.get("crop", {})
    settings = dataclasses.replace(settings, overrides=settings.overrides | {"crop": crop})
    size = settings.recipe(MODEL_NAME).crop.size
    if size % features.patch_size:
        raise UsageError(f"crops of {size} pixels are no whole number of {clip}'s patches of {features.patch_size}")
    task = SimFeatUpTask(features, SimFeatUp(features.channels, kind))
    start_as_bilateral_filter(task.network)
    record = {
        # Part of what a run is known again by:
        "data": f"{images.name}: {len(training) + len(held_out)} images; {kind} for features of {features.name}",
        "split": f"{len(training)} training images, {len(held_out)} held out",
        "upsampler": kind,
        "features": features.name,
    }
    crops = ImageCrops(held_out, size, settings.seed).first(VALIDATED)
    run_training(
        fabric,
        settings,
        MODEL_NAME,
        task,
        ImageCrops(training, size, settings.seed),
        lambda current: gain_over_bilinear(current, crops),
        record=record,
        metric=METRIC,
    )
