"""Masked attention in flash style: a block of queries walks over the keys, and no [N, L] tensor is written.

The mask logits are read once. A row that has no allowed position attends everywhere, which is known only at the end of
its mask: a block that holds such a row walks over the keys again without the mask.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _walk(
    q, key_ptr, value_ptr, mask_ptr, row, row_inside, first_token, head, length, channels, scale,
    DEPTH: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_L: tl.constexpr,
    MASKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The online softmax over all keys: weighted sums of values [BLOCK_N, BLOCK_D] and sums of weights [BLOCK_N]."""
    c = tl.arange(0, BLOCK_D)
    top = tl.full([BLOCK_N], -3.0e38, tl.float32)
    total = tl.zeros([BLOCK_N], tl.float32)
    mixed = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    for start in range(0, length, BLOCK_L):
        place = start + tl.arange(0, BLOCK_L)
        there = place < length
        token = (first_token + place)[:, None] * channels + head * DEPTH + c[None, :]
        token_inside = there[:, None] & (c < DEPTH)[None, :]
        keys = tl.load(key_ptr + token, mask=token_inside, other=0.0)
        scores = tl.dot(q, tl.trans(keys), input_precision=PRECISION) * scale
        allowed = row_inside[:, None] & there[None, :]
        if MASKED:
            logits = tl.load(mask_ptr + row[:, None] * length + place[None, :], mask=allowed, other=-1.0)
            allowed = allowed & (logits >= 0.0)
        scores = tl.where(allowed, scores, -3.0e38)
        higher = tl.maximum(top, tl.max(scores, axis=1))
        weights = tl.where(allowed, tl.exp(scores - higher[:, None]), 0.0)
        keep = tl.exp(top - higher)
        values = tl.load(value_ptr + token, mask=token_inside, other=0.0)
        mixed = mixed * keep[:, None] + tl.dot(weights.to(values.dtype), values, input_precision=PRECISION)
        total = total * keep + tl.sum(weights, axis=1)
        top = higher
    return mixed, total


@triton.jit
def masked_attention_kernel(
    query_ptr, key_ptr, value_ptr, mask_ptr, output_ptr, queries, length, heads, scale,
    DEPTH: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_L: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program: BLOCK_N queries of one head. Grid: (blocks of queries, batch * heads)."""
    batch = tl.program_id(1) // heads
    head = tl.program_id(1) % heads
    channels = heads * DEPTH
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    c = tl.arange(0, BLOCK_D)
    row = batch * queries + n
    row_inside = n < queries
    inside = row_inside[:, None] & (c < DEPTH)[None, :]
    place = row[:, None] * channels + head * DEPTH + c[None, :]
    q = tl.load(query_ptr + place, mask=inside, other=0.0)
    mixed, total = _walk(
        q, key_ptr, value_ptr, mask_ptr, row, row_inside, batch * length, head, length, channels, scale,
        DEPTH, BLOCK_D, BLOCK_N, BLOCK_L, True, PRECISION,
    )  # fmt: skip
    nowhere = row_inside & (total == 0.0)
    if tl.max(nowhere.to(tl.int32), axis=0) > 0:
        everywhere, everything = _walk(
            q, key_ptr, value_ptr, mask_ptr, row, row_inside, batch * length, head, length, channels, scale,
            DEPTH, BLOCK_D, BLOCK_N, BLOCK_L, False, PRECISION,
        )  # fmt: skip
        mixed = tl.where(nowhere[:, None], everywhere, mixed)
        total = tl.where(nowhere, everything, total)
    mixed = mixed / tl.where(row_inside, total, 1.0)[:, None]
    tl.store(output_ptr + place, mixed.to(output_ptr.dtype.element_ty), mask=inside)
