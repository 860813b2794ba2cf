"""The arithmetic of a bundle's graphs, and what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Of a manifest: unknown fields are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Precision(Strict):
    """Arithmetic of the graph.

    ``kept_fp32`` names the nodes that fp16 would overflow, or that int8 would round too much, as measured on the images
    ``measured_on``. ``target`` says what int8 is for: "cpu" has uint8 activations, "tensorrt" symmetric int8 ones.
    """

    name: Literal["fp32", "fp16", "int8"]
    target: Literal["cpu", "tensorrt"] | None = None
    kept_fp32: tuple[str, ...] = ()
    measured_on: str = ""


class Parity(Strict):
    """What the parity gate found between the trained network and this graph."""

    reference: str
    runtime: str
    data: str
    images: int = Field(ge=1)
    agreement: float = Field(ge=0, le=1)
    threshold: float = Field(ge=0, le=1)
    max_score_difference: float = Field(ge=0)


class Speed(Strict):
    """What an input takes, in milliseconds, by the graphs and by those that they were quantised from, on a machine.

    ``vnni``: whether its processor multiplies bytes into 32 bits (VNNI, Arm's dotprod); None where nobody knows.
    ``byte_products``: its instruction set for that, see :func:`rsseg_edge.machine.byte_products`; None where nobody
    wrote it down.
    """

    processor: str
    vnni: bool | None
    byte_products: str | None = None
    milliseconds: float = Field(gt=0)
    parent_milliseconds: float = Field(gt=0)


class Score(Strict):
    """A measured accuracy: intersection over union per class, in 0..1, and their mean."""

    data: str
    split: str
    setting: str
    miou: float
    iou: Mapping[str, float]
    overall_accuracy: float


class Variant(Strict):
    """The same network in another precision, beside the bundle's graphs.

    ``graphs`` names the file that stands for each of them; both are in the bundle's ``files``, and so are ``reports``.
    """

    precision: Precision
    graphs: Mapping[str, str] = Field(min_length=1)
    reports: tuple[str, ...] = ()
    parity: Parity | None = None
    scores: tuple[Score, ...] = ()
    speed: Speed | None = None
