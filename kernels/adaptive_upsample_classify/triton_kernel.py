"""Adaptive upsampling with the classification fused: the upsampled features stay in registers.

The dot products with the text commute with the convolution. The low-resolution features, and the bias as one more row,
are projected on the text first; their Q projections are then convolved like channels, and the C channels themselves
only add to the squared length.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rsseg_edge.kernels.adaptive_upsample.triton_kernel import convolve, output_pixels


@triton.jit
def project_kernel(
    features_ptr, bias_ptr, text_ptr, projected_ptr, pixels, channels, classes,
    BLOCK_P: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_C: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Projections [pixels + 1, Q]; the last row is the bias's. Grid: (blocks of rows, blocks of classes)."""
    p = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    q = tl.program_id(1) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    total = tl.zeros([BLOCK_P, BLOCK_Q], tl.float32)
    for start in range(0, channels, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        channel_inside = (c < channels)[None, :]
        rows = tl.load(
            features_ptr + p[:, None] * channels + c[None, :], mask=(p < pixels)[:, None] & channel_inside, other=0.0
        )
        bias = tl.load(bias_ptr + c, mask=c < channels, other=0.0)
        rows = tl.where((p == pixels)[:, None], bias[None, :], rows)
        text_inside = (q < classes)[:, None] & channel_inside
        text = tl.load(text_ptr + q[:, None] * channels + c[None, :], mask=text_inside, other=0.0)
        total += tl.dot(rows, tl.trans(text), input_precision=PRECISION)
    place = projected_ptr + p[:, None] * classes + q[None, :]
    tl.store(place, total.to(projected_ptr.dtype.element_ty), mask=(p <= pixels)[:, None] & (q < classes)[None, :])


@triton.jit
def adaptive_upsample_classify_kernel(
    features_ptr, folded_ptr, bias_ptr, projected_ptr, output_ptr, pixels, height, width, channels, classes,
    RADIUS: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_Q: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program: 32 pixels, all channels, all classes. Grid: (eighths of a row, batch * height)."""
    column = tl.program_id(0) * 8
    row = tl.program_id(1) % height
    first_row = tl.program_id(1) - row
    squares = tl.zeros([32], tl.float32)
    for channel in range(0, channels, BLOCK_C):
        c = channel + tl.arange(0, BLOCK_C)
        upsampled = convolve(
            features_ptr, folded_ptr, first_row, row, column, channel, height, width, channels, RADIUS, BLOCK_C,
            PRECISION,
        )  # fmt: skip
        upsampled += tl.load(bias_ptr + c, mask=c < channels, other=0.0).to(tl.float32)[None, :]
        squares += tl.sum(upsampled * upsampled, axis=1)
    share = 1.0 / tl.maximum(tl.sqrt(squares), 1e-12)
    pixel, inside = output_pixels(first_row, row, column, width)
    for first in range(0, classes, BLOCK_Q):
        q = first + tl.arange(0, BLOCK_Q)
        dots = convolve(
            projected_ptr, folded_ptr, first_row, row, column, first, height, width, classes, RADIUS, BLOCK_Q, PRECISION
        )
        dots += tl.load(projected_ptr + pixels * classes + q, mask=q < classes, other=0.0).to(tl.float32)[None, :]
        place = output_ptr + pixel[:, None] * classes + q[None, :]
        logits = (dots * share[:, None]).to(output_ptr.dtype.element_ty)
        tl.store(place, logits, mask=inside[:, None] & (q < classes)[None, :])
