"""Inputs for a row of the table of shapes: drawn at random, as the operator meets them in a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from rsseg_edge.kernels.cases import Case

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]


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


def _pixel_mlp(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, h, w, c, d, e = (case.sizes[k] for k in "BHWCDE")
    # "huge" leaves the GELU's bend far behind, "tiny" stays in its middle
    scale = {"huge": 30.0, "tiny": 1e-3}.get(case.style, 1.5)
    return {"x": _normal(rng, b, h, w, c), **_two_layers(rng, c, d, e, scale)}


def _fixup_kernel(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, h, w, t, d, g = (case.sizes[k] for k in "BHWTDG")
    scale = {"huge": 30.0, "tiny": 1e-3}.get(case.style, 1.5)
    kernel, guidance = _normal(rng, b, h, w, t), _normal(rng, b, h, w, g)
    return {"kernel": kernel, "guidance": guidance, **_two_layers(rng, t + g, d, t, scale)}


def _two_layers(rng: np.random.Generator, c: int, d: int, e: int, scale: float) -> dict[str, Array]:
    return {
        "weight1": _normal(rng, d, c, scale=scale / np.sqrt(c)),
        "bias1": _normal(rng, d, scale=scale / 2),
        "weight2": _normal(rng, e, d, scale=1 / np.sqrt(d)),
        "bias2": _normal(rng, e, scale=0.1),
    }


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


def _q_inverted_residual(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, h, w, c, e = (case.sizes[k] for k in "BHWCE")
    weight = _normal(rng, e, c, scale=3 / np.sqrt(c))
    first = {
        "x": _normal(rng, b, h, w, c),
        "x_step": np.array([0.03, 120], np.float32),
        "expand_weight": weight,
        "expand_step": _row_steps(weight),
        "expand_bias": _normal(rng, e),
    }
    return {**first, **_block(case, rng, (0.0, 6.0, -60000.0, 60000.0))}


def _q_separable_conv(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, h, w, e = (case.sizes[k] for k in "BHWE")
    limits = (0.0, 6.0, -60000.0, 60000.0) if case.style else (-60000.0, 60000.0, 0.0, 60000.0)
    return {"x": _normal(rng, b, h, w, e), **_block(case, rng, limits)}


def _block(case: Case, rng: np.random.Generator, limits: tuple[float, ...]) -> dict[str, Array]:
    b, h, w, e, d, k = (case.sizes[key] for key in "BHWEDk")
    stride, offset = (case.attributes[key] for key in ("stride", "offset"))
    down, across = (-(-(side - offset) // stride) for side in (h, w))
    weight = _normal(rng, d, e, scale=1 / np.sqrt(e))
    signed = limits[0] < 0
    return {
        "depth_weight": _normal(rng, e, k, k, scale=1 / k),
        "depth_bias": _normal(rng, e),
        "hidden_step": np.array([0.03, 127] if signed else [0.02, 0], np.float32),
        "project_weight": weight,
        "project_step": _row_steps(weight),
        "project_bias": _normal(rng, d, scale=0.1),
        "addend": _normal(rng, b, down, across, d) if case.style else np.zeros((1, 1, 1, 1), np.float32),
        "limits": np.array(limits, np.float32),
    }


def _row_steps(weight: Floats) -> Floats:
    """Of a weight [O, I], so that the greatest of a row becomes 120 steps: none lies at the end of the codes."""
    return np.asarray(np.abs(weight).max(1) / 120, np.float32)


def _upsample_decide(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    b, k, h, w = (case.sizes[letter] for letter in "BKhw")
    # Sixteenths, whose blends any precision holds exactly: no face may choose another class where two are nearly alike.
    return {"shares": (rng.integers(0, 17, (b, k, h, w)) / 16).astype(np.float32)}


def _middle_mean(case: Case, rng: np.random.Generator) -> dict[str, Array]:
    return {"x": _normal(rng, *(case.sizes[letter] for letter in "BCHW"))}


MAKERS: dict[str, Callable[[Case, np.random.Generator], dict[str, Array]]] = {
    "MaskedAttention": _masked_attention,
    "BilateralKernel": _bilateral_kernel,
    "AdaptiveUpsample": _adaptive_upsample,
    "AdaptiveUpsampleClassify": _adaptive_upsample_classify,
    "MSDeformAttn": _ms_deform_attn,
    "Conv3x3Relu": _conv3x3_relu,
    "UpsampleConv3x3Relu": _conv3x3_relu,
    "PixelMLP": _pixel_mlp,
    "FixupKernel": _fixup_kernel,
    "SelfAttention": _self_attention,
    "CrossAttention": _cross_attention,
    "FeedForward": _feed_forward,
    "UpsampleDecide": _upsample_decide,
    "MiddleMean": _middle_mean,
    "QInvertedResidual": _q_inverted_residual,
    "QSeparableConv": _q_separable_conv,
}
"""Of each operator."""
