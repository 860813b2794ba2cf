"""The joint bilateral kernel in ONNX standard operators: one slice, product and sum for every place in the window."""

from __future__ import annotations

HEADER = """
<opset_import: ["" : 18], domain: "rsseg">
BilateralKernel <radius> (range, spatial, temperature) => (kernel)
{
    center = Cast <to = 1> (range)
    pads = Constant <value_ints = [0, RADIUS, RADIUS, 0, 0, RADIUS, RADIUS, 0]> ()
    padded = Pad <mode = "reflect"> (center, pads)
    rows_and_columns = Constant <value_ints = [1, 2]> ()
    last = Constant <value_ints = [-1]> ()
"""

STEP = """
    start_O = Constant <value_ints = [DY, DX]> ()
    end_O = Constant <value_ints = [ENDY, ENDX]> ()
    neighbour_O = Slice(padded, start_O, end_O, rows_and_columns)
    product_O = Mul(neighbour_O, center)
    score_O = ReduceSum <keepdims = 1> (product_O, last)
"""

FOOTER = """
    scores = Concat <axis = -1> (SCORES)
    temperature32 = Cast <to = 1> (temperature)
    scaled = Mul(scores, temperature32)
    similarity = Softmax <axis = -1> (scaled)
    spatial32 = Cast <to = 1> (spatial)
    weighted = Mul(similarity, spatial32)
    total = ReduceSum <keepdims = 1> (weighted, last)
    smallest = Constant <value_float = 1e-7> ()
    divisor = Max(total, smallest)
    normalised = Div(weighted, divisor)
    kernel = CastLike(normalised, range)
}
"""

TO_THE_END = 2**31 - 1


def slice_end(start: int, extent: int) -> int:
    """The end, counted from the back, of a slice that leaves out ``extent`` places of which ``start`` are in front."""
    return start - extent if start < extent else TO_THE_END


def function_text(radius: int) -> str:
    """The function for one radius in ONNX's text format; it computes in float32 whatever the inputs are."""
    size = 2 * radius + 1
    text = HEADER.replace("RADIUS", str(radius))
    for o in range(size * size):
        dy, dx = divmod(o, size)
        step = STEP.replace("ENDY", str(slice_end(dy, 2 * radius))).replace("ENDX", str(slice_end(dx, 2 * radius)))
        text += step.replace("DY", str(dy)).replace("DX", str(dx)).replace("_O", f"_{o}")
    return text + FOOTER.replace("SCORES", ", ".join(f"score_{o}" for o in range(size * size)))
