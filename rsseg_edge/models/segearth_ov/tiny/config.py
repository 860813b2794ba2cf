"""A small SegEarth-OV network as data: the file ``segearth-ov-tiny.toml`` beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from rsseg_edge.models.config import Strict, config_names, read_config
from rsseg_edge.models.segclip.config import BackboneConfig
from rsseg_edge.models.segearth_ov.config import InferenceConfig, UpsamplerKind

_FOLDER = Path(__file__).parent


class HybridViTConfig(Strict):
    """A vision transformer on the backbone's features at stride 16.

    Attributes:
        size: side of the image that the position embedding is for, in pixels.
        width: of the transformer.
        layers: transformer blocks; the last is its attention alone.
        heads: of the attention.
    """

    size: int = Field(ge=32, multiple_of=32)
    width: int = Field(ge=8)
    layers: int = Field(ge=2)
    heads: int = Field(ge=1)


class SentenceConfig(Strict):
    """The frozen sentence encoder: a package that carries its weights, and the length of its features."""

    name: str
    dim: int = Field(ge=1)


class TinyConfig(Strict):
    """Everything that defines the network.

    Attributes:
        name: of the configuration.
        backbone: see :class:`BackboneConfig`.
        vit: see :class:`HybridViTConfig`.
        text: see :class:`SentenceConfig`.
        templates: prompts whose features are averaged for a word, with ``{}`` where it stands.
        upsampler: SimFeatUp's kind.
        long_side: images that are larger are scaled down to it, in pixels.
        inference: see :class:`InferenceConfig`.
    """

    name: str
    backbone: BackboneConfig
    vit: HybridViTConfig
    text: SentenceConfig
    templates: tuple[str, ...] = Field(min_length=1)
    upsampler: UpsamplerKind
    long_side: int = Field(ge=32)
    inference: InferenceConfig


def configurations() -> list[str]:
    """Names of the configurations that come with the package."""
    return config_names(_FOLDER)


def load_config(name: str, **overrides: Any) -> TinyConfig:
    """Read a configuration by name; ``overrides`` replace whole top-level entries.

    Raises:
        UsageError: no configuration of that name.
    """
    return read_config(TinyConfig, _FOLDER, name, overrides)
