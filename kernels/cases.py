"""The table of shapes that every face of every operator is tested against, and the inputs made for a row of it.

A board can run it too: what agrees here on its own hardware can be trusted there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from rsseg_edge.kernels.case_inputs import MAKERS, Array
from rsseg_edge.kernels.registry import OPS

# Largest difference allowed, relative to the largest value of the output; of operators on codes, which one code further
# on may change.
TOLERANCE = {"float32": 1e-5, "float16": 2e-3}
CODES_TOLERANCE = {"float32": 1e-2, "float16": 5e-2}


def tolerance(op: str, dtype: str = "float32") -> float:
    """How far faces of an operator may be apart, relative to the largest value."""
    return (CODES_TOLERANCE if OPS[op].codes or OPS[op].bytes else TOLERANCE)[dtype]


@dataclass(frozen=True)
class Case:
    """One row: an operator, its sizes by the letters of the registry, its attributes."""

    op: str
    name: str
    sizes: dict[str, int]
    attributes: dict[str, int] = field(default_factory=dict)
    style: str = ""

    @property
    def id(self) -> str:
        """What a test report calls the row."""
        return f"{self.op}-{self.name}"

    def inputs(self, dtype: str = "float32") -> dict[str, Array]:
        """The operator's inputs by name, the same at every call; floating inputs in ``dtype``."""
        rng = np.random.default_rng(sum(map(ord, self.id)))
        made = MAKERS[self.op](self, rng)
        return {k: v.astype(dtype) if v.dtype == np.float32 else v for k, v in made.items()}


def cases(op: str) -> list[Case]:
    """The rows of one operator."""
    return [c for c in _TABLE if c.op == op]


def _rows() -> Iterator[Case]:
    def attention(name: str, b: int, n: int, length: int, c: int, heads: int, style: str = "") -> Case:
        return Case("MaskedAttention", name, {"B": b, "N": n, "L": length, "C": c}, {"num_heads": heads}, style)

    yield attention("typical", 2, 20, 192, 64, 8)
    yield attention("odd", 3, 17, 131, 42, 3)
    yield attention("one_query", 1, 1, 77, 32, 4)
    yield attention("one_key", 2, 5, 1, 16, 2)
    yield attention("one_channel_a_head", 1, 3, 70, 5, 5)
    yield attention("wide_head", 1, 9, 65, 150, 1)
    yield attention("many_rows", 1, 70, 129, 64, 2)
    yield attention("rows_without_any", 2, 12, 150, 32, 2, "closed")
    yield attention("one_key_a_row", 1, 11, 300, 32, 2, "single")
    yield attention("huge_logits", 1, 8, 90, 32, 2, "huge")
    yield attention("tiny_logits", 1, 8, 90, 32, 2, "tiny")

    for name, b, h, w, r, radius, style in (
        ("typical", 1, 16, 24, 32, 5, ""),
        ("radius_1", 2, 5, 7, 8, 1, ""),
        ("radius_3_odd", 3, 9, 13, 17, 3, ""),
        ("smallest_image", 1, 6, 6, 32, 5, ""),
        ("one_channel", 1, 7, 31, 1, 3, ""),
        ("hot", 1, 8, 19, 32, 3, "huge"),
        ("cold", 1, 8, 19, 32, 3, "tiny"),
    ):
        yield Case("BilateralKernel", name, {"B": b, "H": h, "W": w, "R": r}, {"radius": radius}, style)

    upsampling = (
        ("typical", 1, 8, 12, 64, 5, 16),
        ("radius_1", 2, 3, 5, 24, 1, 3),
        ("radius_2", 1, 4, 6, 16, 2, 5),
        ("radius_3_odd", 3, 5, 7, 37, 3, 7),
        ("radius_4", 1, 5, 5, 9, 4, 2),
        ("smallest_image", 1, 3, 3, 20, 5, 4),
        ("one_row", 1, 1, 9, 33, 1, 2),
        ("one_channel", 1, 4, 17, 1, 3, 1),
        ("one_class", 1, 6, 11, 48, 5, 1),
        ("many_classes", 1, 4, 5, 40, 3, 256),
        ("wide", 1, 3, 35, 52, 5, 17),
        ("tall", 1, 21, 4, 31, 3, 9),
    )
    for name, b, h, w, c, radius, q in upsampling:
        sizes = {"B": b, "h": h, "w": w, "C": c}
        yield Case("AdaptiveUpsample", name, sizes, {"radius": radius})
        yield Case("AdaptiveUpsampleClassify", name, {**sizes, "Q": q}, {"radius": radius})

    for name, b, n, heads, depth, levels, points in (
        ("typical", 1, 40, 8, 32, 3, 4),
        ("odd", 3, 7, 3, 5, 2, 3),
        ("one_of_each", 1, 1, 1, 1, 1, 1),
        ("four_levels", 2, 33, 2, 24, 4, 2),
    ):
        yield Case("MSDeformAttn", name, {"B": b, "N": n, "M": heads, "D": depth, "L": levels, "P": points})

    for name, b, c, d, h, w, style in (
        ("typical", 1, 24, 40, 8, 12, ""),
        ("odd", 3, 7, 5, 13, 9, ""),
        ("one_pixel", 1, 3, 2, 1, 1, ""),
        ("one_row", 2, 5, 33, 1, 11, "each"),
        ("left_over_2", 1, 16, 17, 6, 10, "places"),
        ("left_over_3", 1, 9, 8, 7, 3, "places"),
        ("two_columns", 1, 20, 3, 26, 2, "each"),
        ("many_channels", 1, 200, 16, 5, 4, ""),
        ("power_of_two_channels", 1, 256, 9, 5, 14, ""),
    ):
        for op in ("Conv3x3Relu", "UpsampleConv3x3Relu"):
            yield Case(op, name, {"B": b, "C": c, "D": d, "h": h, "w": w}, {}, style)

    for name, b, h, w, c, d, e, g in (
        ("typical", 1, 12, 19, 49, 49, 49, 3),
        ("window_11", 1, 5, 13, 121, 121, 121, 3),
        ("odd", 3, 7, 5, 3, 37, 20, 1),
        ("one_of_each", 1, 1, 1, 1, 1, 1, 1),
        ("no_remainder", 1, 8, 12, 16, 32, 16, 4),
        ("wide", 2, 3, 4, 70, 130, 5, 2),
    ):
        yield Case("PixelMLP", name, {"B": b, "H": h, "W": w, "C": c, "D": d, "E": e})
        yield Case("FixupKernel", name, {"B": b, "H": h, "W": w, "T": c, "D": d, "G": g})
    yield Case("PixelMLP", "huge", {"B": 1, "H": 3, "W": 9, "C": 8, "D": 24, "E": 9}, {}, "huge")
    yield Case("FixupKernel", "tiny", {"B": 1, "H": 3, "W": 9, "T": 9, "D": 9, "G": 3}, {}, "tiny")
    for name, b, n, c, heads, style in (
        ("typical", 1, 49, 64, 4, "places"),
        ("odd", 3, 7, 39, 3, "places"),
        ("one_addend", 2, 70, 24, 2, ""),
        ("one_of_each", 1, 1, 1, 1, "places"),
        ("many_positions", 1, 530, 20, 2, "places"),
        ("wide_head", 1, 17, 75, 1, "places"),
        ("one_channel_a_head", 1, 33, 5, 5, "places"),
        ("huge_scores", 1, 40, 32, 2, "huge"),
    ):
        yield Case("SelfAttention", name, {"B": b, "N": n, "C": c}, {"num_heads": heads}, style)

    for name, b, n, c, heads, words, style in (
        ("typical", 1, 49, 64, 4, 17, "hidden"),
        ("odd", 3, 7, 39, 3, 5, "hidden"),
        ("every_word", 2, 60, 24, 2, 9, ""),
        ("one_of_each", 1, 1, 1, 1, 1, ""),
        ("many_positions", 1, 101, 20, 8, 24, "hidden"),
        ("nothing_to_read", 1, 5, 16, 2, 3, "all"),
    ):
        sizes = {"B": b, "N": n, "C": c, "M": heads * words}
        yield Case("CrossAttention", name, sizes, {"num_heads": heads}, style)

    for name, b, n, c, hidden in (
        ("typical", 1, 26, 24, 96),
        ("odd", 3, 7, 37, 53),
        ("one_of_each", 1, 1, 1, 1),
        ("many_rows", 1, 101, 33, 40),
        ("deep", 2, 5, 530, 1040),
    ):
        yield Case("FeedForward", name, {"B": b, "N": n, "C": c, "H": hidden})

    for name, b, h, w, c, e, d, k, stride, style in (
        ("typical", 1, 13, 18, 24, 96, 24, 3, 1, "residual"),
        ("window_5", 2, 9, 21, 16, 144, 40, 5, 1, ""),
        ("stride_2", 1, 16, 30, 24, 72, 40, 3, 2, ""),
        ("window_5_stride_2", 1, 11, 13, 10, 33, 7, 5, 2, ""),
        ("stride_2_offset_1", 1, 16, 30, 24, 72, 40, 3, 2, ""),
        ("window_5_offset_1", 2, 12, 21, 8, 33, 7, 5, 2, ""),
        ("odd", 3, 7, 5, 3, 37, 3, 3, 1, "residual"),
        ("one_of_each", 1, 1, 1, 1, 1, 1, 3, 1, ""),
        ("one_pixel_stride_2", 1, 1, 1, 5, 8, 6, 5, 2, ""),
        ("many_rows", 1, 70, 3, 4, 20, 4, 3, 1, "residual"),
        ("deep", 1, 6, 7, 130, 530, 100, 5, 1, ""),
        ("several_strips", 1, 130, 96, 4, 180, 4, 3, 1, "residual"),
    ):
        sizes = {"B": b, "H": h, "W": w, "E": e, "D": d, "k": k}
        attributes = {"channels": e, "stride": stride, "offset": int(name.endswith("offset_1"))}
        yield Case("QInvertedResidual", name, {**sizes, "C": c}, attributes, style)
        yield Case("QSeparableConv", name, sizes, attributes, style)

    for name, b, k, h, w in (
        ("typical", 1, 5, 12, 40),
        ("odd", 3, 7, 5, 13),
        ("one_of_each", 1, 1, 1, 1),
        ("one_column", 2, 3, 9, 1),
        ("one_row", 1, 4, 1, 35),
        ("many_classes", 1, 256, 3, 17),
    ):
        yield Case("UpsampleDecide", name, {"B": b, "K": k, "h": h, "w": w}, {"classes": k})

    for name, b, c, h, w, factor in (
        ("by_2", 1, 5, 12, 44, 2),
        ("odd", 3, 7, 10, 22, 2),
        ("by_4", 2, 3, 8, 76, 4),
        ("by_8", 1, 4, 16, 40, 8),
        ("by_6", 1, 2, 12, 18, 6),
        ("one_square", 1, 1, 2, 2, 2),
    ):
        yield Case("MiddleMean", name, {"B": b, "C": c, "H": h, "W": w}, {"factor": factor})


_TABLE = tuple(_rows())
