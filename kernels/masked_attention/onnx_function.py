"""Masked attention in ONNX standard operators: portable, correct, and it writes the [B, heads, N, L] scores."""

from __future__ import annotations

TEXT = """
<opset_import: ["" : 18], domain: "rsseg">
MaskedAttention <num_heads> (query, key, value, mask_logits) => (output)
{
    copy_two = Constant <value_ints = [0, 0]> ()
    first = Constant <value_ints = [1]> ()
    last = Constant <value_ints = [-1]> ()
    heads_scalar = Constant <value_int: int = @num_heads> ()
    heads = Reshape(heads_scalar, first)
    split_heads = Concat <axis = 0> (copy_two, heads, last)
    join_heads = Concat <axis = 0> (copy_two, last)

    query32 = Cast <to = 1> (query)
    key32 = Cast <to = 1> (key)
    value32 = Cast <to = 1> (value)
    query_split = Reshape(query32, split_heads)
    key_split = Reshape(key32, split_heads)
    value_split = Reshape(value32, split_heads)
    query_heads = Transpose <perm = [0, 2, 1, 3]> (query_split)
    key_heads = Transpose <perm = [0, 2, 3, 1]> (key_split)
    value_heads = Transpose <perm = [0, 2, 1, 3]> (value_split)
    depth_int = Shape <start = 3> (query_heads)
    depth = Cast <to = 1> (depth_int)
    root = Sqrt(depth)
    query_scaled = Div(query_heads, root)
    scores = MatMul(query_scaled, key_heads)

    zero = Constant <value_float = 0.0> ()
    mask = Cast <to = 1> (mask_logits)
    inside = GreaterOrEqual(mask, zero)
    highest = ReduceMax <keepdims = 1> (mask, last)
    nowhere = Less(highest, zero)
    allowed = Or(inside, nowhere)
    allowed_heads = Unsqueeze(allowed, first)
    lowest = Constant <value_float = -3.4e38> ()
    masked = Where(allowed_heads, scores, lowest)

    weights = Softmax <axis = -1> (masked)
    mixed = MatMul(weights, value_heads)
    mixed_last = Transpose <perm = [0, 2, 1, 3]> (mixed)
    joined = Reshape(mixed_last, join_heads)
    output = CastLike(joined, query)
}
"""


def function_text() -> str:
    """The function in ONNX's text format. Scores are float32 whatever the inputs are: half resolves them too coarsely.

    The mask is float32's lowest number, not infinity: a row always has an allowed position, so nothing else survives
    the softmax, and no builder has to get infinities right.
    """
    return TEXT
