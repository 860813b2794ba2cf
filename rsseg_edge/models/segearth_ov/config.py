"""A SegEarth-OV network as data: the file ``segearth-ov.toml`` beside this one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rsseg_edge.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Variant = Literal["vanilla", "MaskCLIP", "SCLIP", "ClearCLIP", "SegEarth"]
UpsamplerKind = Literal["jbu_one", "jbu_stack"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InferenceConfig(_Strict):
    """What the method adds to its weights.

    Attributes:
        variant: attention of the ViT's last block.
        ignore_residual: leave the last block's residual and MLP out.
        cls_token_lambda: times the class token's cosine with a text is added at every pixel; below 0 it subtracts the
            global bias.
        logit_scale: cosines are multiplied by it before the softmax.
        prob_thd: where no class's probability reaches it, the pixel is background.
        bg_idx: index of the background class.
        slide_crop: side of the sliding window, in pixels.
        slide_stride: step of the sliding window, in pixels.
    """

    variant: Variant
    ignore_residual: bool
    cls_token_lambda: float
    logit_scale: float = Field(gt=0)
    prob_thd: float = Field(ge=0, le=1)
    bg_idx: int = Field(ge=0)
    slide_crop: int = Field(ge=1)
    slide_stride: int = Field(ge=1)

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> InferenceConfig:
        if self.slide_stride > self.slide_crop:
            raise ValueError(f"slide_stride {self.slide_stride} is more than slide_crop {self.slide_crop}")
        return self


class SegEarthOVConfig(_Strict):
    """Everything but the weights of the upsampler and the class names.

    Attributes:
        name: of the configuration.
        clip: name of an open_clip model.
        clip_weights: a tag of open_clip, or a local checkpoint file.
        upsampler: SimFeatUp's kind.
        long_side: images are resized to it before they enter, in pixels.
        inference: see :class:`InferenceConfig`.
    """

    name: str
    clip: str
    clip_weights: str
    upsampler: UpsamplerKind
    long_side: int = Field(ge=1)
    inference: InferenceConfig


def configurations() -> list[str]:
    """Names of the configurations that come with the package."""
    return sorted(p.stem for p in Path(__file__).parent.glob("*.toml"))


def load_config(name: str, **overrides: Any) -> SegEarthOVConfig:
    """Read a configuration by name; ``overrides`` replace whole top-level entries.

    Raises:
        UsageError: no configuration of that name, or an override out of its range.
    """
    if name not in configurations():
        raise UsageError(f"unknown model '{name}': there are {', '.join(configurations())}")
    text = (Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8")
    return validated(SegEarthOVConfig, tomllib.loads(text) | {"name": name} | overrides)


_Config = TypeVar("_Config", bound=BaseModel)


def validated(kind: type[_Config], values: dict[str, Any]) -> _Config:
    """A configuration from its values.

    Raises:
        UsageError: a value is out of its range.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: {first['msg']}" if where else first["msg"]) from None
