"""A self-attention block with its LayerNorms and its residual in ONNX standard operators; it writes the scores."""

from __future__ import annotations

TEXT = """
<opset_import: ["" : 18], domain: "rsseg">
SelfAttention <num_heads> (x, norm_weight, norm_bias, weight, addend, out_weight, out_bias, out_norm_weight,
    out_norm_bias) => (output)
{
    copy_two = Constant <value_ints = [0, 0]> ()
    first = Constant <value_ints = [1]> ()
    last = Constant <value_ints = [-1]> ()
    heads_scalar = Constant <value_int: int = @num_heads> ()
    heads = Reshape(heads_scalar, first)
    split_heads = Concat <axis = 0> (copy_two, heads, last)
    join_heads = Concat <axis = 0> (copy_two, last)

    normed = LayerNormalization <axis = -1, epsilon = 1e-5> (x, norm_weight, norm_bias)
    product = MatMul(normed, weight)
    projected = Add(product, addend)
    query, key, value = Split <axis = -1, num_outputs = 3> (projected)
    query_split = Reshape(query, split_heads)
    key_split = Reshape(key, split_heads)
    value_split = Reshape(value, split_heads)
    query_heads = Transpose <perm = [0, 2, 1, 3]> (query_split)
    key_heads = Transpose <perm = [0, 2, 3, 1]> (key_split)
    value_heads = Transpose <perm = [0, 2, 1, 3]> (value_split)

    depth_int = Shape <start = 3> (query_heads)
    depth_float = Cast <to = 1> (depth_int)
    root_float = Sqrt(depth_float)
    root = CastLike(root_float, x)
    scaled = Div(query_heads, root)
    scores = MatMul(scaled, key_heads)
    shares = Softmax <axis = -1> (scores)
    mixed = MatMul(shares, value_heads)
    mixed_last = Transpose <perm = [0, 2, 1, 3]> (mixed)
    joined = Reshape(mixed_last, join_heads)

    out_product = MatMul(joined, out_weight)
    out = Add(out_product, out_bias)
    out_normed = LayerNormalization <axis = -1, epsilon = 1e-5> (out, out_norm_weight, out_norm_bias)
    output = Add(x, out_normed)
}
"""


def function_text() -> str:
    """The function in ONNX's text format; it computes in the precision of its inputs."""
    return TEXT
