"""What ``rsseg-export`` is asked for, and what a model's exporter hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsseg_edge.bundle import Manifest, Training

Say = Callable[[str], None]
"""Told each step in a line."""


@dataclass(frozen=True)
class Request:
    """What is to be exported.

    Attributes:
        model: configuration that the checkpoint must be of, or the shipped bundle to start from without one.
        precision: "fp32" or "fp16".
        checkpoint: ``model.safetensors`` of rsseg-train; None starts from the shipped bundle.
        size: height and width that the graph is fixed to; None leaves both free.
        batch: of segclip, the graph takes several images at once.
        images: folder, image or video for the parity gate and for fp16's ranges; None generates scenes.
        name: of the bundle; None takes the target folder's.
        official: the authors' checkpoint of cris.
        clip: open_clip's name of the CLIP that segearth-ov is made of; None takes the configuration's.
        clip_weights: of it: a tag of open_clip or a file; None takes the configuration's.
        upsampler_weights: checkpoint of SimFeatUp, of segearth-ov.
        classes: of an open vocabulary, each a string of comma-separated synonyms; None takes the model's own.
    """

    model: str
    precision: str
    checkpoint: Path | None = None
    size: tuple[int, int] | None = None
    batch: bool = False
    images: str | None = None
    name: str | None = None
    official: Path | None = None
    clip: str | None = None
    clip_weights: str | None = None
    upsampler_weights: Path | None = None
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Draft:
    """A model that passed its parity gate, before it is written.

    Attributes:
        manifest: all but name, checksums, scores and versions.
        files: the bundle's files by name.
    """

    manifest: Manifest
    files: Mapping[str, bytes]


def training_of(record: Mapping[str, Any]) -> Training:
    """What a checkpoint's record says of its training."""
    return Training(
        data=str(record.get("data", "not recorded")),
        split=str(record.get("split", "not recorded")),
        recipe=record.get("recipe", {}),
        start=record.get("start", {}),
        seed=int(record.get("seed", 0)),
        steps=int(record.get("steps", 0)),
    )
