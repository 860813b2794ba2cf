"""Adaptive upsampling with classification in ONNX standard operators: here the upsampled features are written."""

from __future__ import annotations

from rsseg_edge.kernels.adaptive_upsample.onnx_function import upsample_steps

HEADER = """
<opset_import: ["" : 18], domain: "rsseg">
AdaptiveUpsampleClassify <radius> (features, kernel, bias, text) => (logits)
{
"""

FOOTER = """
    bias32 = Cast <to = 1> (bias)
    text32 = Cast <to = 1> (text)
    upsampled = Add(sum, bias32)
    text_columns = Transpose <perm = [1, 0]> (text32)
    dots = MatMul(upsampled, text_columns)
    last = Constant <value_ints = [-1]> ()
    length = ReduceL2 <keepdims = 1> (upsampled, last)
    smallest = Constant <value_float = 1e-12> ()
    divisor = Max(length, smallest)
    cosines = Div(dots, divisor)
    logits = CastLike(cosines, features)
}
"""


def function_text(radius: int) -> str:
    """The function for one radius in ONNX's text format; it computes in float32 whatever the inputs are."""
    return HEADER + upsample_steps(radius) + FOOTER
