"""The learned correction of a filter's kernels in ONNX standard operators."""

from __future__ import annotations

from rsseg_edge.kernels.pixel_mlp.onnx_function import LAYERS


def function_text() -> str:
    """The function in ONNX's text format; it computes in the precision of its inputs."""
    head = """
<opset_import: ["" : 18], domain: "rsseg">
FixupKernel (kernel, guidance, weight1, bias1, weight2, bias2) => (output)
{
    both = Concat <axis = -1> (kernel, guidance)"""
    tail = """    correction = Add(product2, bias2)
    output = Add(kernel, correction)
}
"""
    return head + LAYERS.replace("SOURCE", "both") + tail
