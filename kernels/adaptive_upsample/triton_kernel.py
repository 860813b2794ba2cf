"""Adaptive upsampling as banded matrix products on the low-resolution features.

Bicubic upsampling is linear, so it is folded into the kernels first (``fold.h`` has the arithmetic): an 11x11 window on
the upsampled image becomes 9x9 on the features, the same 9x9 for the four pixels above one feature. Eight neighbours,
32 pixels, then share 16 columns of features: for each of the 9 window rows a banded 32 x 16 matrix of folded weights
times a 16 x C block of features, a tensor-core product at 56 % density. Products on the upsampled image need 11 of
them, 32 columns wide with 34 % in use, and four times the traffic.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rsseg_edge.kernels.bilateral_kernel.triton_kernel import reflect


@triton.jit
def _clamp(i, size):
    return tl.minimum(tl.maximum(i, 0), size - 1)


@triton.jit
def _coefficient(quad, phase, tap, place, size, RADIUS: tl.constexpr):
    """What the feature at a place of the window adds to the upsampled pixel under a tap, along one axis.

    Cubic convolution with A = -0.75: taps -0.03515625, 0.26171875, 0.87890625, -0.10546875 for even pixels, from two
    features before on, and their mirror image for odd ones, from one before on. Borders are repeated.
    """
    up = reflect(2 * quad + phase + tap - RADIUS, 2 * size)
    odd = up % 2
    feature = quad - RADIUS // 2 - 2 + place
    first = up // 2 - 2 + odd
    total = tl.where(_clamp(first, size) == feature, tl.where(odd == 1, -0.10546875, -0.03515625), 0.0)
    total += tl.where(_clamp(first + 1, size) == feature, tl.where(odd == 1, 0.87890625, 0.26171875), 0.0)
    total += tl.where(_clamp(first + 2, size) == feature, tl.where(odd == 1, 0.26171875, 0.87890625), 0.0)
    total += tl.where(_clamp(first + 3, size) == feature, tl.where(odd == 1, -0.03515625, -0.10546875), 0.0)
    return total


@triton.jit
def fold_kernel(
    kernel_ptr, folded_ptr, height, width, RADIUS: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_T: tl.constexpr
):
    """Kernels [B, 2h, 2w, K * K] to folded kernels [B, h, w, 4, T * T], T = 2 * (radius // 2) + 5.

    One program: BLOCK_P // 4 quads of a row. Grid: (blocks of a row, batch * height).
    """
    TAPS: tl.constexpr = 2 * RADIUS + 1
    WINDOW: tl.constexpr = 2 * (RADIUS // 2) + 5
    lane = tl.arange(0, BLOCK_P)
    quad = tl.program_id(0) * (BLOCK_P // 4) + lane // 4
    row = tl.program_id(1)
    down, right = lane // 2 % 2, lane % 2
    i, j = tl.arange(0, BLOCK_T), tl.arange(0, BLOCK_T)
    pixel = (row * 2 + down) * (2 * width) + 2 * quad + right
    inside = quad < width
    taps_inside = inside[:, None, None] & (i < TAPS)[None, :, None] & (j < TAPS)[None, None, :]
    taps = tl.load(
        kernel_ptr + pixel[:, None, None] * (TAPS * TAPS) + i[None, :, None] * TAPS + j[None, None, :],
        mask=taps_inside, other=0.0,
    ).to(tl.float32)  # fmt: skip
    n = tl.arange(0, BLOCK_T)
    across = _coefficient(quad[:, None, None], right[:, None, None], j[None, :, None], n[None, None, :], width, RADIUS)
    target = folded_ptr + ((row * width + quad) * 4 + lane % 4)[:, None] * (WINDOW * WINDOW) + n[None, :]
    for m in range(WINDOW):
        along = _coefficient(row % height, down[:, None], i[None, :], m, height, RADIUS)
        half = tl.sum(taps * along[:, :, None], axis=1)
        out = tl.sum(half[:, :, None] * across, axis=1)
        tl.store(target + m * WINDOW, out.to(folded_ptr.dtype.element_ty), mask=inside[:, None] & (n < WINDOW)[None, :])


@triton.jit
def convolve(
    features_ptr, folded_ptr, first_row, row, column, channel, height, width, channels,
    RADIUS: tl.constexpr, BLOCK_C: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Channels [channel, channel + BLOCK_C) of the 32 pixels above features column to column + 8: [32, BLOCK_C].

    Pixel p belongs to quad p // 4. ``first_row`` is the image's first row of features in the batch.
    """
    WINDOW: tl.constexpr = 2 * (RADIUS // 2) + 5
    p = tl.arange(0, 32)
    u = tl.arange(0, 16)
    c = channel + tl.arange(0, BLOCK_C)
    quad = column + p // 4
    place = u[None, :] - (p // 4)[:, None]  # of a feature in the window of a pixel: the band
    band = (place >= 0) & (place < WINDOW) & (quad < width)[:, None]
    weights = folded_ptr + (((first_row + row) * width + quad) * 4 + p % 4)[:, None] * (WINDOW * WINDOW) + place
    feature_column = column - WINDOW // 2 + u
    columns_inside = (feature_column >= 0) & (feature_column < width)
    total = tl.zeros([32, BLOCK_C], tl.float32)
    for m in range(WINDOW):
        feature_row = row - WINDOW // 2 + m
        inside = columns_inside & (feature_row >= 0) & (feature_row < height)
        pixel = (first_row + feature_row) * width + feature_column
        place_inside = inside[:, None] & (c < channels)[None, :]
        features = tl.load(features_ptr + pixel[:, None] * channels + c[None, :], mask=place_inside, other=0.0)
        banded = tl.load(weights + m * WINDOW, mask=band, other=0.0)
        total += tl.dot(banded, features, input_precision=PRECISION)
    return total


@triton.jit
def output_pixels(first_row, row, column, width):
    """Where the 32 pixels lie in the output image, counted in pixels, and which of them are in it."""
    p = tl.arange(0, 32)
    quad = column + p // 4
    pixel = ((first_row + row) * 2 + p // 2 % 2) * (2 * width) + 2 * quad + p % 2
    return pixel, quad < width


@triton.jit
def adaptive_upsample_kernel(
    features_ptr, folded_ptr, output_ptr, height, width, channels,
    RADIUS: tl.constexpr, BLOCK_C: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program: 32 pixels, BLOCK_C channels. Grid: (blocks of channels, eighths of a row, batch * height)."""
    channel = tl.program_id(0) * BLOCK_C
    column = tl.program_id(1) * 8
    row = tl.program_id(2) % height
    first_row = tl.program_id(2) - row
    total = convolve(
        features_ptr, folded_ptr, first_row, row, column, channel, height, width, channels, RADIUS, BLOCK_C, PRECISION
    )
    pixel, inside = output_pixels(first_row, row, column, width)
    c = channel + tl.arange(0, BLOCK_C)
    place = pixel[:, None] * channels + c[None, :]
    tl.store(output_ptr + place, total.to(output_ptr.dtype.element_ty), mask=inside[:, None] & (c < channels)[None, :])
