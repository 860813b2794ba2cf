"""A depthwise convolution and a layer on 8-bit codes of what it gives, in ONNX standard operators."""

from __future__ import annotations

from rsseg_edge.kernels.q_inverted_residual.onnx_function import PRELUDE, rest


def function_text() -> str:
    """The function in ONNX's text format; it computes in the precision of its inputs."""
    head = """
<opset_import: ["" : 18], domain: "rsseg">
QSeparableConv <channels, stride, offset> (x, depth_weight, depth_bias, hidden_step, project_weight, project_step,
    project_bias, addend, limits) => (output)
{"""
    return head + PRELUDE + "    wide = Identity(x)\n" + rest() + "}\n"
