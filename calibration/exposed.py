"""A graph that tells about its own tensors: extremes, a mean and a sample of each, in place of the tensors.

A tensor of a large image has a hundred megabytes; what is told of it has some kilobytes, so that all tensors are
measured in one run whose memory is that of an ordinary inference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

PHASE = "calibration_phase"
"""Input int64 [1]: where in its stride a sample begins."""

_PREFIX = "calibration/"
PARTS = ("low", "high", "mean", "sample")


def part(name: str, what: str) -> str:
    """Name of the output that tells ``what`` about a tensor."""
    return f"{_PREFIX}{what}/{name}"


def expose(model: onnx.ModelProto, strides: dict[str, int]) -> onnx.ModelProto:
    """A copy that gives for each tensor named in ``strides`` the four :data:`PARTS`, and none of its own outputs.

    ``low`` and ``high`` are its extremes, ``mean`` the mean magnitude, all float32 []; ``sample`` is every
    ``strides[name]``-th value from the phase on, float32 [n].
    """
    made, outputs = _copy(model)
    made.graph.input.append(helper.make_tensor_value_info(PHASE, TensorProto.INT64, [1]))
    constants = {"flat": [-1], "end": [np.iinfo(np.int64).max], "axis": [0]}
    _constants(made, constants)
    for i, (name, stride) in enumerate(strides.items()):
        step, start, flat, size = (f"{_PREFIX}{what}{i}" for what in ("step", "start", "flat", "magnitude"))
        made.graph.initializer.append(numpy_helper.from_array(np.array([stride], np.int64), step))
        low, high, mean, sample = (part(name, what) for what in PARTS)
        made.graph.node.extend(
            [
                helper.make_node("ReduceMin", [name], [low], keepdims=0),
                helper.make_node("ReduceMax", [name], [high], keepdims=0),
                helper.make_node("Abs", [name], [size]),
                helper.make_node("ReduceMean", [size], [mean], keepdims=0),
                helper.make_node("Reshape", [name, f"{_PREFIX}flat"], [flat]),
                helper.make_node("Mod", [PHASE, step], [start]),
                helper.make_node("Slice", [flat, start, f"{_PREFIX}end", f"{_PREFIX}axis", step], [sample]),
            ]
        )
        outputs += [low, high, mean, sample]
    return _finish(made, outputs, TensorProto.FLOAT)


def expose_sizes(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy that gives the number of values of each tensor, ``part(name, "size")``, int64 []."""
    made, outputs = _copy(model)
    for name in names:
        made.graph.node.append(helper.make_node("Size", [name], [part(name, "size")]))
        outputs.append(part(name, "size"))
    return _finish(made, outputs, TensorProto.INT64)


def expose_channels(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy that gives the greatest magnitude in each channel, the last side: ``part(name, "channels")`` [C]."""
    made, outputs = _copy(model)
    _constants(made, {"rows": [0]})
    for i, name in enumerate(names):
        size, rows = f"{_PREFIX}magnitude{i}", f"{_PREFIX}flattened{i}"
        made.graph.node.extend(
            [
                helper.make_node("Abs", [name], [size]),
                helper.make_node("Flatten", [size], [rows], axis=-1),
                helper.make_node("ReduceMax", [rows, f"{_PREFIX}rows"], [part(name, "channels")], keepdims=0),
            ]
        )
        outputs.append(part(name, "channels"))
    return _finish(made, outputs, TensorProto.FLOAT)


def expose_moments(model: onnx.ModelProto, channels: Mapping[str, int], strides: Mapping[str, int]) -> onnx.ModelProto:
    """A copy that gives of tensors [B, C, H, W], C by ``channels``, the mean of x, ``part(name, "mean")`` [C], and that
    of x xT, ``part(name, "second")`` [C, C], over every ``strides[name]``-th place."""
    made, outputs = _copy(model)
    constants = {"columns": [1], "start": [0], "end": [np.iinfo(np.int64).max], "second": [1]}
    _constants(made, constants)
    for i, (name, count) in enumerate(channels.items()):
        rows, step, first, flat, some, turned, product, size, number = (
            f"{_PREFIX}{what}{i}"
            for what in ("rows", "step", "first", "flat", "some", "turned", "product", "size", "number")
        )
        _constants(made, {f"rows{i}": [count, -1], f"step{i}": [strides[name]]})
        slice_of = [flat, *(f"{_PREFIX}{what}" for what in ("start", "end", "second")), step]
        mean, second = part(name, "mean"), part(name, "second")
        made.graph.node.extend(
            [
                helper.make_node("Transpose", [name], [first], perm=[1, 0, 2, 3]),
                helper.make_node("Reshape", [first, rows], [flat]),
                helper.make_node("Slice", slice_of, [some]),
                helper.make_node("ReduceMean", [some, f"{_PREFIX}columns"], [mean], keepdims=0),
                helper.make_node("Transpose", [some], [turned], perm=[1, 0]),
                helper.make_node("MatMul", [some, turned], [product]),
                helper.make_node("Shape", [some], [size], start=1),
                helper.make_node("Cast", [size], [number], to=TensorProto.FLOAT),
                helper.make_node("Div", [product, number], [second]),
            ]
        )
        outputs += [mean, second]
    return _finish(made, outputs, TensorProto.FLOAT)


def _copy(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made, []


def _constants(model: onnx.ModelProto, values: dict[str, list[int]]) -> None:
    for name, value in values.items():
        array: npt.NDArray[np.int64] = np.array(value, np.int64)
        model.graph.initializer.append(numpy_helper.from_array(array, f"{_PREFIX}{name}"))


def _finish(model: onnx.ModelProto, outputs: Sequence[str], kind: int) -> onnx.ModelProto:
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, kind, None) for name in outputs)
    return model
