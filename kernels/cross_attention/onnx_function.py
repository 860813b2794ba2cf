"""Cross-attention to words that bring their projections along, in ONNX standard operators."""

from __future__ import annotations

TEXT = """
<opset_import: ["" : 18], domain: "rsseg">
CrossAttention <num_heads> (x, norm_weight, norm_bias, position, keys, values, scores, out_bias, out_norm_weight,
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
    query = Add(normed, position)
    columns = Transpose <perm = [0, 2, 1]> (keys)
    products = MatMul(query, columns)
    added = Unsqueeze(scores, first)
    scored = Add(products, added)
    scored_heads = Reshape(scored, split_heads)
    share_heads = Softmax <axis = -1> (scored_heads)
    share = Reshape(share_heads, join_heads)
    read = MatMul(share, values)
    biased = Add(read, out_bias)
    out_normed = LayerNormalization <axis = -1, epsilon = 1e-5> (biased, out_norm_weight, out_norm_bias)
    output = Add(x, out_normed)
}
"""


def function_text() -> str:
    """The function in ONNX's text format; it computes in the precision of its inputs."""
    return TEXT
