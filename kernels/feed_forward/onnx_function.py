"""A feed-forward block with its LayerNorms and its residual in ONNX standard operators."""

from __future__ import annotations

TEXT = """
<opset_import: ["" : 18], domain: "rsseg">
FeedForward (x, norm_weight, norm_bias, weight1, bias1, inner_weight, inner_bias, weight2, bias2) => (output)
{
    normed = LayerNormalization <axis = -1, epsilon = 1e-5> (x, norm_weight, norm_bias)
    product1 = MatMul(normed, weight1)
    biased1 = Add(product1, bias1)
    hidden = Relu(biased1)
    inner = LayerNormalization <axis = -1, epsilon = 1e-5> (hidden, inner_weight, inner_bias)
    product2 = MatMul(inner, weight2)
    biased2 = Add(product2, bias2)
    output = Add(x, biased2)
}
"""


def function_text() -> str:
    """The function in ONNX's text format; it computes in the precision of its inputs."""
    return TEXT
