"""A block of a mobile network on 8-bit codes, in ONNX standard operators: floats, rounded to what codes stand for."""

from __future__ import annotations

PRELUDE = """
    first = Constant <value_int = 0> ()
    second = Constant <value_int = 1> ()
    third = Constant <value_int = 2> ()
    fourth = Constant <value_int = 3> ()
    low = Gather(limits, first)
    high = Gather(limits, second)
    outer_low = Gather(limits, third)
    outer_high = Gather(limits, fourth)
    none = Constant <value_float = 0.0> ()
    none_like = CastLike(none, limits)
    most = Constant <value_float = 255.0> ()
    most_like = CastLike(most, limits)
    level = Constant <value_float = 127.0> ()
    level_like = CastLike(level, limits)
    level_below = Neg(level_like)
    columns = Constant <value_ints = [1]> ()
"""
CODES = """
    NAME_step = Gather(NAME_steps, first)
    NAME_zero = Gather(NAME_steps, second)
    NAME_divided = Div(NAME_input, NAME_step)
    NAME_shifted = Add(NAME_divided, NAME_zero)
    NAME_nearest = Round(NAME_shifted)
    NAME_raised = Max(NAME_nearest, none_like)
    NAME_code = Min(NAME_raised, most_like)
    NAME_number = Sub(NAME_code, NAME_zero)
    NAME_rounded = Mul(NAME_number, NAME_step)
"""
LAYER = """
    NAME_row_step = Unsqueeze(NAME_step_of_rows, columns)
    NAME_ratio = Div(NAME_weight_given, NAME_row_step)
    NAME_whole = Round(NAME_ratio)
    NAME_least = Max(NAME_whole, level_below)
    NAME_level = Min(NAME_least, level_like)
    NAME_weight = Mul(NAME_level, NAME_row_step)
    NAME_columns = Transpose <perm = [1, 0]> (NAME_weight)
    NAME_product = MatMul(NAME_from, NAME_columns)
    NAME_made = Add(NAME_product, NAME_bias)
"""
MIDDLE = """
    planes = Transpose <perm = [0, 3, 1, 2]> (wide)
    taps = Unsqueeze(depth_weight, columns)
    every = Conv <group: int = @channels, auto_pad = "SAME_UPPER"> (planes, taps, depth_bias)
    step_scalar = Constant <value_int: int = @stride> ()
    step = Reshape(step_scalar, columns)
    steps = Concat <axis = 0> (step, step)
    start_scalar = Constant <value_int: int = @offset> ()
    start = Reshape(start_scalar, columns)
    starts = Concat <axis = 0> (start, start)
    ends = Constant <value_ints = [9223372036854775807, 9223372036854775807]> ()
    axes = Constant <value_ints = [2, 3]> ()
    some = Slice(every, starts, ends, axes, steps)
    some_raised = Max(some, low)
    some_limited = Min(some_raised, high)
    hidden = Transpose <perm = [0, 2, 3, 1]> (some_limited)
"""
END = """
    added = Add(project_made, addend)
    added_raised = Max(added, outer_low)
    output = Min(added_raised, outer_high)
"""


def codes(name: str, source: str, steps: str) -> str:
    """``name_rounded``: what the codes of a tensor stand for."""
    return CODES.replace("NAME_steps", steps).replace("NAME_input", source).replace("NAME", name)


def layer(name: str, source: str) -> str:
    """``name_made``: a tensor times a weight on the integers of its steps, and a bias."""
    text = LAYER.replace("NAME_weight_given", f"{name}_weight").replace("NAME_step_of_rows", f"{name}_step")
    text = text.replace("NAME_from", source).replace("NAME_bias", f"{name}_bias")
    return text.replace("NAME_weight", "NAME_used").replace("NAME", name)


def function_text() -> str:
    """The function in ONNX's text format; it computes in the precision of its inputs."""
    head = """
<opset_import: ["" : 18], domain: "rsseg">
QInvertedResidual <channels, stride, offset> (x, x_step, expand_weight, expand_step, expand_bias, depth_weight,
    depth_bias, hidden_step, project_weight, project_step, project_bias, addend, limits) => (output)
{"""
    expand = codes("seen", "x", "x_step") + layer("expand", "seen_rounded")
    expand += "    wide_raised = Max(expand_made, low)\n    wide = Min(wide_raised, high)\n"
    return head + PRELUDE + expand + rest() + "}\n"


def rest() -> str:
    """From ``wide``, which the depthwise convolution reads, to the output."""
    return MIDDLE + codes("kept", "hidden", "hidden_step") + layer("project", "kept_rounded") + END
