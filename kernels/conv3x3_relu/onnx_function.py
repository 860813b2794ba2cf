"""A 3x3 convolution with its ReLU in ONNX standard operators: what any runtime fuses by itself."""

from __future__ import annotations

CONVOLUTION = """
    products = Conv <pads = [1, 1, 1, 1], kernel_shape = [3, 3]> (SOURCE, weight)
    added = Add(products, addend)
    output = Relu(added)
}
"""


def function_text() -> str:
    """The function in ONNX's text format; it computes in the precision of its inputs."""
    head = """
<opset_import: ["" : 18], domain: "rsseg">
Conv3x3Relu (x, weight, addend) => (output)
{"""
    return head + CONVOLUTION.replace("SOURCE", "x")
