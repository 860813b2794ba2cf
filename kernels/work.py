"""What a GPU computes and moves for one of our operators: its plugin's launches, padding of their blocks included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsseg_edge.kernels.plan import power_of_two

_FOLD = 512  # multiply-adds of a pixel and window row: 16 x 16 places along one axis, and as many along the other


@dataclass(frozen=True)
class Work:
    """One launch.

    Attributes:
        flops: floating-point operations; a multiply-add counts two.
        elements: values that must move, each once.
        matrix: whether its products are matrices, which tensor cores compute.
    """

    flops: float
    elements: float
    matrix: bool


def launches(
    op: str, shapes: Sequence[Sequence[int]], *, radius: int = 0, num_heads: int = 1, block: int = 1
) -> dict[str, Work]:
    """Launches of an operator, by kernel.

    Args:
        op: its name.
        shapes: of its inputs, see :data:`rsseg_edge.kernels.registry.OPS`.
        radius: of the operators that have one.
        num_heads: of attention.
        block: queries of a program of attention, whose last is filled up.

    Returns:
        None of what has no plugin: its body is what a GPU should run. Deformable attention is TensorRT's own plugin.
    """
    if op == "MaskedAttention":
        (batch, queries, channels), (_, length, _) = shapes[:2]
        padded = -(-queries // block) * block
        moved = 2 * length * channels + queries * length * num_heads + 2 * queries * channels  # a head reads the mask
        return {"masked_attention_kernel": Work(4 * batch * padded * length * channels, batch * moved, True)}
    if op == "MSDeformAttn":
        (batch, places, heads, depth), (_, queries, _, levels, points, _) = shapes[0], shapes[3]
        samples = batch * queries * heads * levels * points
        moved = batch * (places + queries) * heads * depth + 3 * samples
        return {"ms_deform_attn": Work(8 * samples * depth, moved, False)}  # four corners of a sample
    if op == "BilateralKernel":
        batch, height, width, channels = shapes[0]
        taps, pixels = (2 * radius + 1) ** 2, batch * height * width
        return {
            "bilateral_kernel_kernel": Work(
                2 * pixels * power_of_two(taps) * channels, pixels * (channels + taps), False
            )
        }
    if op in ("AdaptiveUpsample", "AdaptiveUpsampleClassify"):
        (batch, height, width, channels), taps, window = shapes[0], (2 * radius + 1) ** 2, 2 * (radius // 2) + 5
        places = batch * height * width
        pixels, folded = 4 * places, 4 * places * window**2
        banded = 2 * pixels * window * 16  # one channel's products
        fold = Work(2 * pixels * window * _FOLD, pixels * taps + folded, False)
        if op == "AdaptiveUpsample":
            moved = places * channels + folded + pixels * channels
            return {"fold_kernel": fold, "adaptive_upsample_kernel": Work(banded * channels, moved, True)}
        classes = shapes[3][0]
        moved = places * (channels + classes) + folded + pixels * classes
        return {
            "fold_kernel": fold,
            "project_kernel": Work(2 * places * channels * classes, places * (channels + classes), True),
            "adaptive_upsample_classify_kernel": Work(banded * (channels + classes), moved, True),
        }
    return {}
