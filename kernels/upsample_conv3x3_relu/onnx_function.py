"""Bilinear upsampling by two, then a 3x3 convolution with its ReLU, in ONNX standard operators."""

from __future__ import annotations

from rsseg_edge.kernels.conv3x3_relu.onnx_function import CONVOLUTION


def function_text() -> str:
    """The function in ONNX's text format; it computes in the precision of its inputs."""
    head = """
<opset_import: ["" : 18], domain: "rsseg">
UpsampleConv3x3Relu (x, weight, addend) => (output)
{
    scales = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()
    up = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (x, , scales)"""
    return head + CONVOLUTION.replace("SOURCE", "up")
