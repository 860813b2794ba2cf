"""Adaptive upsampling in ONNX standard operators.

No Unfold, which ONNX lacks and TensorRT too, and no cubic Resize, which TensorRT does not take: bicubic x2 with these
borders is four taps an axis with two fixed sets of coefficients, and DepthToSpace interleaves the four phases.
"""

from __future__ import annotations

from collections.abc import Iterator

from rsseg_edge.kernels.bilateral_kernel.onnx_function import slice_end

# The cubic convolution kernel (A = -0.75) at distances 1.75, 0.75, 0.25, 1.25: even output pixels, whose taps start two
# pixels before. Odd ones have the mirror image and start one pixel before. All are exact in binary.
EVEN = (-0.03515625, 0.26171875, 0.87890625, -0.10546875)
PHASES = ((0, EVEN), (1, EVEN[::-1]))

HEADER = """
<opset_import: ["" : 18], domain: "rsseg">
AdaptiveUpsample <radius> (features, kernel) => (output)
{
"""

FOOTER = """
    output = CastLike(sum, features)
}
"""


def function_text(radius: int) -> str:
    """The function for one radius in ONNX's text format; it computes in float32 whatever the inputs are."""
    return HEADER + upsample_steps(radius) + FOOTER


def upsample_steps(radius: int) -> str:
    """Statements from ``features`` and ``kernel`` to ``sum`` [B, 2h, 2w, C] in float32."""
    return "\n".join([*_bicubic(), *_adaptive_convolution(radius)])


def _bicubic() -> Iterator[str]:
    yield "features32 = Cast <to = 1> (features)"
    yield "channels_first = Transpose <perm = [0, 3, 1, 2]> (features32)"
    yield "edges = Constant <value_ints = [0, 0, 2, 2, 0, 0, 2, 2]> ()"
    yield 'edged = Pad <mode = "edge"> (channels_first, edges)'
    yield "axis_rows = Constant <value_ints = [2]> ()"
    yield "axis_columns = Constant <value_ints = [3]> ()"
    for place in range(5):
        yield f"from_{place} = Constant <value_ints = [{place}]> ()"
        yield f"to_{place} = Constant <value_ints = [{slice_end(place, 4)}]> ()"
    for tap in range(4):
        yield f"cubic_{tap} = Constant <value_float = {EVEN[tap]}> ()"
    for column in (0, 1):
        yield from _four_taps("edged", f"half_{column}", "axis_columns", column)
        for row in (0, 1):
            yield from _four_taps(f"half_{column}", f"phase_{row}{column}", "axis_rows", row)
    yield "phases = Concat <axis = 1> (phase_00, phase_01, phase_10, phase_11)"
    yield 'up = DepthToSpace <blocksize = 2, mode = "DCR"> (phases)'


def _four_taps(source: str, target: str, axis: str, phase: int) -> Iterator[str]:
    start, _ = PHASES[phase]
    for tap in range(4):
        place = start + tap
        coefficient = f"cubic_{tap if phase == 0 else 3 - tap}"
        yield f"{target}_s{tap} = Slice({source}, from_{place}, to_{place}, {axis})"
        yield f"{target}_p{tap} = Mul({target}_s{tap}, {coefficient})"
    yield f"{target}_a = Add({target}_p0, {target}_p1)"
    yield f"{target}_b = Add({target}_p2, {target}_p3)"
    yield f"{target} = Add({target}_a, {target}_b)"


def _adaptive_convolution(radius: int) -> Iterator[str]:
    size = 2 * radius + 1
    taps = size * size
    yield f"pads = Constant <value_ints = [0, 0, {radius}, {radius}, 0, 0, {radius}, {radius}]> ()"
    yield 'reflected = Pad <mode = "reflect"> (up, pads)'
    yield "padded = Transpose <perm = [0, 2, 3, 1]> (reflected)"
    yield "kernel32 = Cast <to = 1> (kernel)"
    weights = ", ".join(f"weight_{o}" for o in range(taps))
    yield f"{weights} = Split <axis = 3, num_outputs = {taps}> (kernel32)"
    yield "rows_and_columns = Constant <value_ints = [1, 2]> ()"
    for o in range(taps):
        dy, dx = divmod(o, size)
        yield f"start_{o} = Constant <value_ints = [{dy}, {dx}]> ()"
        yield f"end_{o} = Constant <value_ints = [{slice_end(dy, 2 * radius)}, {slice_end(dx, 2 * radius)}]> ()"
        yield f"neighbour_{o} = Slice(padded, start_{o}, end_{o}, rows_and_columns)"
        name = "sum" if o == taps - 1 else f"sum_{o}"
        if o == 0:
            yield "sum_0 = Mul(neighbour_0, weight_0)"
        else:
            yield f"product_{o} = Mul(neighbour_{o}, weight_{o})"
            yield f"{name} = Add(sum_{o - 1}, product_{o})"
