"""The joint bilateral kernel: range features of a window stay in registers, nothing is unfolded."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def reflect(i, size):
    """Mirrors an index at the first and last element, once."""
    i = tl.abs(i)
    return tl.where(i >= size, 2 * size - 2 - i, i)


@triton.jit
def bilateral_kernel_kernel(
    range_ptr, spatial_ptr, temperature_ptr, output_ptr, height, width, channels,
    RADIUS: tl.constexpr, BLOCK_X: tl.constexpr, BLOCK_O: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """One program: BLOCK_X pixels of a row and all places of their windows. Grid: (blocks of a row, batch * height).

    Eight channels a step are 16 bytes in half precision: one load instruction for every neighbour.
    """
    SIZE: tl.constexpr = 2 * RADIUS + 1
    x = tl.program_id(0) * BLOCK_X + tl.arange(0, BLOCK_X)
    first_row = tl.program_id(1) // height * height
    y = tl.program_id(1) % height
    o = tl.arange(0, BLOCK_O)
    window = o < SIZE * SIZE
    rows = first_row + reflect(y + o // SIZE - RADIUS, height)
    columns = reflect(tl.minimum(x, width - 1)[:, None] + (o % SIZE)[None, :] - RADIUS, width)
    # Places past the window would reflect out of the image.
    neighbour = tl.where(window[None, :], rows[None, :] * width + columns, 0) * channels
    centre = ((first_row + y) * width + tl.minimum(x, width - 1)) * channels
    scores = tl.zeros([BLOCK_X, BLOCK_O], tl.float32)
    for start in range(0, channels, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        middle = tl.load(range_ptr + centre[:, None] + c[None, :], mask=(c < channels)[None, :], other=0.0)
        around = tl.load(
            range_ptr + neighbour[:, :, None] + c[None, None, :],
            mask=window[None, :, None] & (c < channels)[None, None, :], other=0.0,
        )  # fmt: skip
        scores += tl.sum(around.to(tl.float32) * middle.to(tl.float32)[:, None, :], axis=2)
    scores = tl.where(window[None, :], scores * tl.load(temperature_ptr).to(tl.float32), -3.0e38)
    weights = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    spatial = tl.load(spatial_ptr + o, mask=window, other=0.0).to(tl.float32)
    weighted = weights / tl.sum(weights, axis=1)[:, None] * spatial[None, :]
    weighted = weighted / tl.maximum(tl.sum(weighted, axis=1), 1e-7)[:, None]
    place = ((first_row + y) * width + x)[:, None] * (SIZE * SIZE) + o[None, :]
    tl.store(output_ptr + place, weighted.to(output_ptr.dtype.element_ty), mask=(x < width)[:, None] & window[None, :])
