"""The table of shapes that every face of every operator is tested against, and the inputs made for a row of it.

A board can run it too: what agrees here on its own hardware can be trusted there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]

# Largest difference allowed, relative to the largest value of the output.
TOLERANCE = {"float32": 1e-5, "float16": 2e-3}


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
        made = _MAKERS[self.op](self, rng)
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


def _normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Floats:
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def _masked_attention(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, n, length, c = (case.sizes[k] for k in "BNLC")
    # Half precision resolves scores of this size; "huge" makes one-hot rows, whose winner is far ahead.
    scale = {"huge": 4.0, "tiny": 1e-3}.get(case.style, 1.0)
    mask = _normal(rng, b, n, length, scale={"huge": 1e4, "tiny": 1e-4}.get(case.style, 1.0))
    mask += np.float32(0.5) * np.sign(mask) * np.abs(mask).min()  # no logit is rounded to the other side of zero
    if case.style == "closed":
        mask[:, ::3] = -np.abs(mask[:, ::3]) - 1e-3
    if case.style == "single":
        mask = -np.abs(mask) - np.float32(1e-3)
        mask[:, np.arange(n), rng.integers(0, length, n)] = 1.0
    q, k, v = (_normal(rng, b, size, c) for size in (n, length, length))
    return {"query": q * np.float32(scale), "key": k * np.float32(scale), "value": v, "mask_logits": mask}


def _bilateral_kernel(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, h, w, r = (case.sizes[k] for k in "BHWR")
    radius = case.attributes["radius"]
    steps = np.linspace(-1, 1, 2 * radius + 1, dtype=np.float32)
    spatial = np.exp(-(steps[:, None] ** 2 + steps**2) / 2).ravel()
    temperature = {"huge": 1e3, "tiny": 1e-4}.get(case.style, 2.0)
    # "huge" is a temperature that makes the softmax one-hot; the features are small so that float16 holds the products
    features = _normal(rng, b, h, w, r, scale=0.5 / np.sqrt(r))
    return {"range": features, "spatial": spatial, "temperature": np.array([temperature], np.float32)}


def _adaptive_upsample(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, h, w, c = (case.sizes[k] for k in "BhwC")
    taps = (2 * case.attributes["radius"] + 1) ** 2
    kernel = np.exp(_normal(rng, b, 2 * h, 2 * w, taps))
    kernel /= kernel.sum(-1, keepdims=True)
    kernel += _normal(rng, *kernel.shape, scale=0.1 / np.sqrt(taps))  # as the fix-up net leaves it: some are negative
    return {"features": _normal(rng, b, h, w, c), "kernel": kernel.astype(np.float32)}


def _adaptive_upsample_classify(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    inputs = _adaptive_upsample(case, rng)
    c, q = case.sizes["C"], case.sizes["Q"]
    text = _normal(rng, q, c)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    # A mean of the features far from zero, as CLIP's: it also keeps |F| from vanishing where few channels exist.
    return {**inputs, "bias": _normal(rng, c) + np.float32(2), "text": text}


def _ms_deform_attn(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, n, heads, depth, levels, points = (case.sizes[k] for k in "BNMDLP")
    shapes = np.array([[1 + 9 // (i + 1), 1 + 13 // (i + 1)] for i in range(levels)], np.int64)
    counts = shapes.prod(1)
    weights = np.exp(_normal(rng, b, n, heads, levels * points))
    weights /= weights.sum(-1, keepdims=True)
    return {
        "value": _normal(rng, b, int(counts.sum()), heads, depth),
        "spatial_shapes": shapes,
        "level_start_index": np.concatenate(([0], counts.cumsum()[:-1])).astype(np.int64),
        # A quarter of them lies outside or on the border.
        "sampling_locations": rng.uniform(-0.2, 1.2, (b, n, heads, levels, points, 2)).astype(np.float32),
        "attention_weights": weights.reshape(b, n, heads, levels, points).astype(np.float32),
    }


def _conv3x3_relu(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, c, d, h, w = (case.sizes[k] for k in "BCDhw")
    scale = 2 if case.op == "UpsampleConv3x3Relu" else 1
    # a bias, or one of every place, or of every image and place
    shape = {"": (1, d, 1, 1), "places": (1, d, scale * h, scale * w), "each": (b, d, scale * h, scale * w)}[case.style]
    weight = _normal(rng, d, c, 3, 3, scale=1 / np.sqrt(9 * c))
    return {"x": _normal(rng, b, c, h, w), "weight": weight, "addend": _normal(rng, *shape)}


def _self_attention(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, n, c = (case.sizes[k] for k in "BNC")
    addend = _normal(rng, n if case.style else 1, 3 * c)
    if case.style == "huge":  # one-hot rows, whose winner is far ahead: half precision resolves scores of this size
        addend[:, : 2 * c] *= np.float32(4)
    return {
        "x": _normal(rng, b, n, c),
        "norm_weight": _normal(rng, c),
        "norm_bias": _normal(rng, c),
        "weight": _normal(rng, c, 3 * c, scale=1 / np.sqrt(c)),
        "addend": addend,
        "out_weight": _normal(rng, c, c, scale=1 / np.sqrt(c)),
        "out_bias": _normal(rng, c),
        "out_norm_weight": _normal(rng, c),
        "out_norm_bias": _normal(rng, c),
    }


def _cross_attention(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, n, c, m = (case.sizes[k] for k in "BNCM")
    words = m // case.attributes["num_heads"]
    scores = _normal(rng, b, m // words, words)
    if case.style == "hidden":  # more words from image to image
        for i in range(b):
            scores[i, :, 1 + (words // 2 + i) % words :] -= np.float32(1e4)
    keys = _normal(rng, b, m, c, scale=1 / np.sqrt(c))
    if case.style == "all":  # beside numbers so large, products would be rounded away
        scores -= np.float32(1e4)
        keys[:] = 0
    return {
        "x": _normal(rng, b, n, c),
        "norm_weight": _normal(rng, c),
        "norm_bias": _normal(rng, c),
        "position": _normal(rng, n, c),
        "keys": keys,
        "values": _normal(rng, b, m, c),
        "scores": scores.reshape(b, m),
        "out_bias": _normal(rng, c),
        "out_norm_weight": _normal(rng, c),
        "out_norm_bias": _normal(rng, c),
    }


def _feed_forward(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, n, c, hidden = (case.sizes[k] for k in "BNCH")
    return {
        "x": _normal(rng, b, n, c),
        "norm_weight": _normal(rng, c),
        "norm_bias": _normal(rng, c),
        "weight1": _normal(rng, c, hidden, scale=1 / np.sqrt(c)),
        "bias1": _normal(rng, hidden),
        "inner_weight": _normal(rng, hidden),
        "inner_bias": _normal(rng, hidden),
        "weight2": _normal(rng, hidden, c, scale=1 / np.sqrt(hidden)),
        "bias2": _normal(rng, c),
    }


_MAKERS: dict[str, Callable[[Case, np.random.Generator], dict[str, Array]]] = {
    "MaskedAttention": _masked_attention,
    "BilateralKernel": _bilateral_kernel,
    "AdaptiveUpsample": _adaptive_upsample,
    "AdaptiveUpsampleClassify": _adaptive_upsample_classify,
    "MSDeformAttn": _ms_deform_attn,
    "Conv3x3Relu": _conv3x3_relu,
    "UpsampleConv3x3Relu": _conv3x3_relu,
    "SelfAttention": _self_attention,
    "CrossAttention": _cross_attention,
    "FeedForward": _feed_forward,
}
_TABLE = tuple(_rows())
