"""How a model is trained, as data: ``recipes.toml`` beside this file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rsseg_edge.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CropConfig(_Strict):
    """How crops are cut and altered.

    Attributes:
        size: side of a crop in pixels, a multiple of 32.
        scale: least and greatest factor that the image is scaled by, drawn log-uniformly.
        native: probability that a crop is neither scaled nor tilted: the image's own pixels.
        balance: probability that a crop is centred near a pixel of a class drawn uniformly, and not anywhere.
        color: strength of brightness, contrast and saturation jitter, as a factor's deviation from 1.
        tilt: greatest rotation beside the quarter turns, in degrees.
        blur: probability of a slight Gaussian blur.
        shadow: probability of a cast shadow over part of the crop: what is dark is not therefore water.
        inside: scale crops up as far as they need to lie inside of the image, and never tilt them: no pixel of a crop
            is without a label for want of an image.
        even: every image is as likely as any other; otherwise every pixel is.
        mix: probability that a rectangle of the crop is another crop's, with its labels (Yun et al., CutMix, 2019).
    """

    size: int = Field(default=320, ge=32, multiple_of=32)
    scale: tuple[float, float] = (0.35, 1.6)
    native: float = Field(default=0.0, ge=0, le=1)
    balance: float = Field(default=0.5, ge=0, le=1)
    color: float = Field(default=0.25, ge=0, lt=1)
    tilt: float = Field(default=20.0, ge=0, le=45)
    blur: float = Field(default=0.1, ge=0, le=1)
    shadow: float = Field(default=0.0, ge=0, le=1)
    inside: bool = False
    even: bool = False
    mix: float = Field(default=0.0, ge=0, le=1)


class Recipe(_Strict):
    """Optimisation of one model. Linear warm-up, cosine decay to a hundredth.

    Attributes:
        steps: optimiser steps of the whole run.
        batch: crops a step, over all processes together.
        optimizer: "adamw", or "nadam", which is Adam with Nesterov momentum; both with decoupled weight decay.
        lr: peak learning rate of what is new.
        backbone_lr: factor on ``lr`` for the pretrained backbone.
        weight_decay: on matrices and kernels; biases and normalisation have none.
        warmup: steps of linear warm-up.
        ema: decay of the moving average of the weights, which is what is validated and saved.
        clip: greatest norm of the gradient.
        adjust: strength of the logit adjustment at inference; see :mod:`rsseg_edge.training.adjust`.
        validate_every: steps between validations.
        checkpoint_every: steps between checkpoints.
        sentences: about each image of a batch, where the model reads sentences.
        frame: probability that an image is cut to another shape and letterboxed, where the model letterboxes.
    """

    steps: int = Field(ge=1)
    batch: int = Field(default=8, ge=1)
    optimizer: Literal["adamw", "nadam"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    backbone_lr: float = Field(default=0.3, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup: int = Field(default=100, ge=0)
    ema: float = Field(default=0.998, ge=0, lt=1)
    clip: float = Field(default=1.0, gt=0)
    adjust: float = Field(default=0.0, ge=0, le=1)
    validate_every: int = Field(default=250, ge=1)
    checkpoint_every: int = Field(default=50, ge=1)
    sentences: int = Field(default=1, ge=1)
    frame: float = Field(default=0.0, ge=0, le=1)
    crop: CropConfig = CropConfig()


def parse_values(texts: Sequence[str]) -> dict[str, Any]:
    """Overrides of a recipe from ``NAME=VALUE``, as TOML has them; ``crop.NAME`` for the crops'.

    Raises:
        UsageError: one of them is no such pair.
    """
    try:
        values: dict[str, Any] = tomllib.loads("\n".join(texts))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--set {' --set '.join(texts)}: {error}; it takes NAME=VALUE, for instance lr=1e-4") from None
    return values


def load_recipe(model: str, **overrides: Any) -> Recipe:
    """The recipe of a model; overrides that are None are left out, those within ``crop`` leave its other values."""
    recipes = tomllib.loads((Path(__file__).parent / "recipes.toml").read_text(encoding="utf-8"))
    given = {key: value for key, value in overrides.items() if value is not None}
    crop = given.get("crop")
    if isinstance(crop, dict):
        given["crop"] = recipes[model].get("crop", {}) | crop
    return Recipe.model_validate(recipes[model] | given)
