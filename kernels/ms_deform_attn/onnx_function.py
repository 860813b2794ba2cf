"""Multi-scale deformable attention in ONNX standard operators: one GridSample for every level.

For ONNX Runtime and as a description. Engines for NVIDIA use TensorRT's own plugin: several versions build this
decomposition without a word and compute it wrongly (NVIDIA/TensorRT issue 4813).
"""

from __future__ import annotations

import re

HEADER = """
<opset_import: ["" : 18], domain: "rsseg">
MSDeformAttn (value, spatial_shapes, level_start_index, sampling_locations, attention_weights) => (output)
{
    zero = Constant <value_ints = [0]> ()
    one = Constant <value_ints = [1]> ()
    rest = Constant <value_ints = [-1]> ()
    pair = Constant <value_ints = [2]> ()
    two = Constant <value_float = 2.0> ()
    unit = Constant <value_float = 1.0> ()
    value32 = Cast <to = 1> (value)
    locations32 = Cast <to = 1> (sampling_locations)
    weights32 = Cast <to = 1> (attention_weights)
    batch = Shape <start = 0, end = 1> (value)
    depth = Shape <start = 3, end = 4> (value)
    queries = Shape <start = 1, end = 2> (sampling_locations)
    points = Shape <start = 4, end = 5> (sampling_locations)
    grid_shape = Concat <axis = 0> (rest, queries, points, pair)
    weight_shape = Concat <axis = 0> (rest, one, queries, points)
"""

LEVEL = """
    index_I = Constant <value_int = LEVEL> ()
    shape_I = Gather <axis = 0> (spatial_shapes, index_I)
    pixels_I = ReduceProd <keepdims = 1> (shape_I, zero)
    start_scalar_I = Gather <axis = 0> (level_start_index, index_I)
    start_I = Reshape(start_scalar_I, one)
    end_I = Add(start_I, pixels_I)
    rows_I = Slice(value32, start_I, end_I, one)
    planes_I = Transpose <perm = [0, 2, 3, 1]> (rows_I)
    image_shape_I = Concat <axis = 0> (rest, depth, shape_I)
    image_I = Reshape(planes_I, image_shape_I)
    location_I = Gather <axis = 3> (locations32, index_I)
    doubled_I = Mul(location_I, two)
    centred_I = Sub(doubled_I, unit)
    ordered_I = Transpose <perm = [0, 2, 1, 3, 4]> (centred_I)
    grid_I = Reshape(ordered_I, grid_shape)
    samples_I = GridSample <mode = "bilinear", padding_mode = "zeros", align_corners = 0> (image_I, grid_I)
    weight_I = Gather <axis = 3> (weights32, index_I)
    weight_ordered_I = Transpose <perm = [0, 2, 1, 3]> (weight_I)
    weight_heads_I = Reshape(weight_ordered_I, weight_shape)
    weighted_I = Mul(samples_I, weight_heads_I)
    level_I = ReduceSum <keepdims = 0> (weighted_I, rest)
"""

FOOTER = """
    total = Sum(LEVELS)
    joined_shape = Concat <axis = 0> (batch, rest, queries)
    joined = Reshape(total, joined_shape)
    ordered = Transpose <perm = [0, 2, 1]> (joined)
    output = CastLike(ordered, value)
}
"""


def function_text(levels: int) -> str:
    """The function for a pyramid of so many levels in ONNX's text format; it computes in float32."""
    steps = "".join(re.sub(r"_I\b", f"_{i}", LEVEL).replace("LEVEL", str(i)) for i in range(levels))
    return HEADER + steps + FOOTER.replace("LEVELS", ", ".join(f"level_{i}" for i in range(levels)))
