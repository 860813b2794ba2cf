"""The mean of the four values in the middle of each square, in ONNX standard operators."""

from __future__ import annotations


def function_text() -> str:
    """The function in ONNX's text format; it computes in the precision of its inputs."""
    return """
<opset_import: ["" : 18], domain: "rsseg">
MiddleMean <factor> (x) => (output)
{
    number = Constant <value_int: int = @factor> ()
    one = Constant <value_ints = [1]> ()
    two = Constant <value_ints = [2]> ()
    three = Constant <value_ints = [3]> ()
    end = Constant <value_ints = [9223372036854775807]> ()
    step = Reshape (number, one)
    second = Div (step, two)
    first = Sub (second, one)
    above = Slice (x, first, end, two, step)
    below = Slice (x, second, end, two, step)
    rows = Add (above, below)
    left = Slice (rows, first, end, three, step)
    right = Slice (rows, second, end, three, step)
    sums = Add (left, right)
    quarter = Constant <value_float = 0.25> ()
    quarter_like = CastLike (quarter, sums)
    output = Mul (sums, quarter_like)
}
"""
