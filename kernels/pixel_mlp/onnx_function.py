"""Two linear layers with a GELU between them for every pixel, in ONNX standard operators."""

from __future__ import annotations

LAYERS = """
    columns1 = Transpose <perm = [1, 0]> (weight1)
    product1 = MatMul(SOURCE, columns1)
    hidden = Add(product1, bias1)
    root = Constant <value_float = 1.4142135> ()
    root_like = CastLike(root, hidden)
    scaled = Div(hidden, root_like)
    erf = Erf(scaled)
    one = Constant <value_float = 1.0> ()
    one_like = CastLike(one, hidden)
    share = Add(erf, one_like)
    weighted = Mul(hidden, share)
    half = Constant <value_float = 0.5> ()
    half_like = CastLike(half, hidden)
    activated = Mul(weighted, half_like)
    columns2 = Transpose <perm = [1, 0]> (weight2)
    product2 = MatMul(activated, columns2)
"""


def function_text() -> str:
    """The function in ONNX's text format; it computes in the precision of its inputs."""
    head = """
<opset_import: ["" : 18], domain: "rsseg">
PixelMLP (x, weight1, bias1, weight2, bias2) => (output)
{"""
    return head + LAYERS.replace("SOURCE", "x") + "    output = Add(product2, bias2)\n}\n"
