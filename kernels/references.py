"""The plain PyTorch face of every operator, by name, and in float64 on a row of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsseg_edge.kernels.adaptive_upsample.reference import adaptive_upsample
from rsseg_edge.kernels.adaptive_upsample_classify.reference import adaptive_upsample_classify
from rsseg_edge.kernels.bilateral_kernel.reference import bilateral_kernel
from rsseg_edge.kernels.cases import Case
from rsseg_edge.kernels.conv3x3_relu.reference import conv3x3_relu
from rsseg_edge.kernels.cross_attention.reference import cross_attention
from rsseg_edge.kernels.feed_forward.reference import feed_forward
from rsseg_edge.kernels.fixup_kernel.reference import fixup_kernel
from rsseg_edge.kernels.masked_attention.reference import masked_attention
from rsseg_edge.kernels.middle_mean.reference import middle_mean
from rsseg_edge.kernels.ms_deform_attn.reference import ms_deform_attn
from rsseg_edge.kernels.pixel_mlp.reference import pixel_mlp
from rsseg_edge.kernels.q_inverted_residual.reference import q_inverted_residual
from rsseg_edge.kernels.q_separable_conv.reference import q_separable_conv
from rsseg_edge.kernels.self_attention.reference import self_attention
from rsseg_edge.kernels.upsample_conv3x3_relu.reference import upsample_conv3x3_relu
from rsseg_edge.kernels.upsample_decide.reference import upsample_decide

REFERENCES: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "MaskedAttention": masked_attention,
    "BilateralKernel": bilateral_kernel,
    "AdaptiveUpsample": adaptive_upsample,
    "AdaptiveUpsampleClassify": adaptive_upsample_classify,
    "MSDeformAttn": ms_deform_attn,
    "Conv3x3Relu": conv3x3_relu,
    "UpsampleConv3x3Relu": upsample_conv3x3_relu,
    "PixelMLP": pixel_mlp,
    "FixupKernel": fixup_kernel,
    "SelfAttention": self_attention,
    "CrossAttention": cross_attention,
    "FeedForward": feed_forward,
    "QInvertedResidual": q_inverted_residual,
    "QSeparableConv": q_separable_conv,
    "UpsampleDecide": upsample_decide,
    "MiddleMean": middle_mean,
}


def expected(case: Case, dtype: str = "float32") -> npt.NDArray[np.generic]:
    """What a case's inputs, rounded to ``dtype``, give in float64: the yardstick of all other faces.

    Several outputs are stacked, as :func:`stacked` does it.
    """
    inputs = [torch.from_numpy(np.asarray(x)) for x in case.inputs(dtype).values()]
    exact = [x.double() if x.is_floating_point() else x for x in inputs]
    return stacked(REFERENCES[case.op](*exact, *case.attributes.values()))


def stacked(outputs: Tensor | Sequence[Tensor | npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """The one output of an operator, or all of them along a new first axis."""
    each = [np.asarray(o) for o in ([outputs] if isinstance(outputs, Tensor) else outputs)]
    return each[0] if len(each) == 1 else np.stack(each)


def relative_error(got: npt.NDArray[np.generic], wanted: npt.NDArray[np.generic]) -> float:
    """Largest difference over the largest value; infinite where the shapes differ or a NaN appears."""
    exact, want = got.astype(np.float64), wanted.astype(np.float64)
    if exact.shape != want.shape or not np.isfinite(exact).all():
        return float("inf")
    return float(np.abs(exact - want).max() / (np.abs(want).max() or 1.0))
