"""Shares enlarged four times and decided on, in ONNX standard operators."""

from __future__ import annotations


def function_text(classes: int) -> str:
    """The function in ONNX's text format, for a number of classes; it computes in float32.

    A chain of comparisons in place of an argmax: runtimes execute that over a strided axis one pixel at a time, but
    elementwise operations with vector instructions.
    """
    lines = [
        "wide_shares = Cast <to = 1> (shares)",
        "scales = Constant <value_floats = [1.0, 1.0, 4.0, 4.0]> ()",
        'wide = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (wide_shares, , scales)',
        f"{', '.join(f'plane{k}' for k in range(classes))} = Split <axis = 1, num_outputs = {classes}> (wide)",
        "axis = Constant <value_ints = [1]> ()",
        "zero = Constant <value_float = 0.0> ()",
        "best0 = Squeeze (plane0, axis)",
        "chosen0 = Mul (best0, zero)",
    ]
    for k in range(1, classes):
        lines += [
            f"score{k} = Squeeze (plane{k}, axis)",
            f"better{k} = Greater (score{k}, best{k - 1})",
            f"number{k} = Constant <value_float = {float(k)}> ()",
            f"chosen{k} = Where (better{k}, number{k}, chosen{k - 1})",
            f"best{k} = Max (best{k - 1}, score{k})",
        ]
    lines += [
        f"class_map = Cast <to = 2> (chosen{classes - 1})",
        "most = Constant <value_float = 255.0> ()",
        "half = Constant <value_float = 0.5> ()",
        f"scaled = Mul (best{classes - 1}, most)",
        "shifted = Add (scaled, half)",
        "confidence = Cast <to = 2> (shifted)",
    ]
    head = """
<opset_import: ["" : 18], domain: "rsseg">
UpsampleDecide <classes> (shares) => (class_map, confidence)
{
"""
    return head + "".join(f"    {line}\n" for line in lines) + "}\n"
