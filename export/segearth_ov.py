"""SegEarth-OV of published weights: a CLIP by name or file, and a checkpoint of SimFeatUp."""

from __future__ import annotations

from pathlib import Path

from rsseg_edge.errors import UsageError
from rsseg_edge.export.clip_fit import misfit, require_upsampler_of
from rsseg_edge.export.clip_text import clip_text_part
from rsseg_edge.export.open_vocabulary import Identity, export_open_vocabulary
from rsseg_edge.export.request import Draft, Request, Say
from rsseg_edge.models.segearth_ov.config import load_config
from rsseg_edge.models.segearth_ov.network import SegEarthOV
from rsseg_edge.models.segearth_ov.weights import upsampler_kind
from rsseg_edge.prompts.colors import Color
from rsseg_edge.prompts.vocabulary import parse_classes

LARGEST = 2_000_000_000
"""Bytes of weights: ONNX files are protocol buffers, which end at 2 GiB."""

CLASSES: dict[str, Color] = {
    "bare land,barren": (158, 128, 96),
    "grass": (152, 200, 96),
    "pavement": (150, 150, 150),
    "road": (120, 94, 160),
    "tree,forest": (40, 128, 64),
    "water,river": (56, 124, 214),
    "cropland": (226, 190, 84),
    "building,roof,house": (228, 64, 64),
}
"""OpenEarthMap's: what covers land anywhere."""


def export_segearth_ov(request: Request, say: Say) -> Draft:
    """A bundle of the published method: windows, text tower, tokenizer.

    Raises:
        UsageError: weights that are not there or do not fit each other, or classes that cannot be encoded.
        RssegError: the parity gate refuses.
    """
    if request.upsampler_weights is None:
        raise UsageError(
            f"{request.model} needs --upsampler-weights FILE: a checkpoint of SimFeatUp, JBUOne or JBUStack"
        )
    classes = request.classes or tuple(CLASSES)
    words = parse_classes(classes).words
    if len(classes) > 255:
        raise UsageError(f"{len(classes)} classes: a class map holds 255")
    overrides = {
        "clip": request.clip,
        "clip_weights": request.clip_weights,
        "upsampler": upsampler_kind(request.upsampler_weights),
    }
    config = load_config(request.model, **{key: value for key, value in overrides.items() if value is not None})
    say(f"loading CLIP {config.clip}, weights {config.clip_weights}, and {config.upsampler}")
    require_upsampler_of(config.clip, request.upsampler_weights)
    try:
        network = SegEarthOV.from_files(config, request.upsampler_weights)
    except UsageError as error:  # of a file of another CLIP, open_clip lists what is missing
        raise UsageError(misfit(config.clip, config.clip_weights) or str(error)) from None
    if sum(p.nbytes for part in (network.vit, network.upsampler) for p in part.parameters()) > LARGEST:
        raise UsageError(
            f"CLIP {config.clip} has more than 2 GB of weights, which no ONNX file holds: take a smaller one"
        )
    # A file's place on this machine is nobody's business; a tag stays a tag.
    stated = config.model_copy(update={"clip_weights": Path(config.clip_weights).name})
    identity = Identity(
        model=request.model,
        config=stated.model_dump(mode="json"),
        long_side=config.long_side,
        classes=classes,
        colors={names.split(",")[0]: color for names, color in CLASSES.items()},
    )
    text = clip_text_part(network.text_encoder, words, request.precision, say)
    return export_open_vocabulary(network, text, identity, request, say)
