"""Graphs in float16 widened without the package ``onnx``, compared with what that package makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the graphs are made with onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rsseg_edge.bundle import SHIPPED, open_bundle  # noqa: E402
from rsseg_edge.calibration.prepare import prepare  # noqa: E402
from rsseg_edge.engines import onnxruntime as engine_module  # noqa: E402
from rsseg_edge.engines.halves import widen_halves  # noqa: E402
from rsseg_edge.engines.onnx_file import read_signature  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from rsseg_edge.errors import RssegError  # noqa: E402
from rsseg_edge.export.precision import to_fp16  # noqa: E402

GRAPHS = [(b.name, f.name) for b in sorted(SHIPPED.iterdir()) if b.is_dir() for f in sorted(b.glob("*.onnx"))]
HALVES = [(name, file) for name, file in GRAPHS if open_bundle(name).manifest.precision.name == "fp16"]


def inputs(model: bytes, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    sides = {"32*rows": 64, "32*columns": 96, "B": 1, "Q": 3, "sentences": 2}
    found = {}
    for info in read_signature(model).inputs:
        shape = [sides[side] if isinstance(side, str) else side for side in info.shape]
        whole = info.dtype.kind in "iu"
        values = random.integers(1, 256, shape) if whole else random.normal(size=shape)
        found[info.name] = values.astype(info.dtype)
    return found


def half_types(message: Any) -> Iterator[str]:
    """Where a message or one inside of it still speaks of float16."""
    for field, value in message.ListFields():
        if field.name in ("data_type", "elem_type") and value == TensorProto.FLOAT16:
            yield field.full_name
        if field.type == field.TYPE_MESSAGE:
            for inner in value if not hasattr(value, "ListFields") else [value]:
                yield from half_types(inner)


def test_some_of_the_shipped_bundles_are_in_float16() -> None:
    assert {name for name, _ in HALVES} == {"cris-tiny", "segearth-ov-tiny"}


@pytest.mark.parametrize(("name", "file"), HALVES)
def test_a_shipped_graph_computes_what_onnx_widens_it_to(name: str, file: str) -> None:
    model = open_bundle(name).read(file)
    wide = widen_halves(model)
    graph = onnx.load_from_string(wide)
    onnx.checker.check_model(graph, full_check=True)
    assert not list(half_types(graph))
    assert read_signature(wide) == read_signature(model)
    given = inputs(model)
    found, expected = (
        OnnxRuntimeEngine(m, threads=1, widen=False).infer(given)
        for m in (wide, prepare(onnx.load_from_string(model)).SerializeToString())
    )
    for output, value in expected.items():
        np.testing.assert_allclose(found[output], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=output)


@pytest.mark.parametrize(("name", "file"), [g for g in GRAPHS if g not in HALVES])
def test_a_graph_in_fp32_is_not_touched(name: str, file: str) -> None:
    model = open_bundle(name).read(file)
    assert widen_halves(model) is model


def test_a_graph_in_fp16_stays_as_near_to_the_one_that_it_was_made_of() -> None:
    parent = open_bundle("segclip-tiny").read("model.onnx")
    half = to_fp16(onnx.load_from_string(parent), []).SerializeToString()
    given = inputs(parent)
    expected = OnnxRuntimeEngine(parent, threads=1).infer(given)["logits"]
    stored, wide = (
        np.abs(OnnxRuntimeEngine(half, threads=1, widen=widen).infer(given)["logits"] - expected).mean()
        for widen in (False, True)
    )
    assert 0 < wide < 1.1 * stored


def every_place() -> onnx.ModelProto:
    """A graph with float16 wherever a model can have it: constants, branches, functions, types, odd ways of storage."""
    half = TensorProto.FLOAT16
    bits = helper.make_tensor("bits", half, [2], [1.5, -2.0])  # as integers
    assert not bits.raw_data
    raw = numpy_helper.from_array(np.array([3.0, 0.25], np.float16), "raw")
    constant = numpy_helper.from_array(np.array([10.0, 20.0], np.float16))
    fill = numpy_helper.from_array(np.array([7.0], np.float16))

    def branch(name: str, operator: str) -> onnx.GraphProto:
        nodes = [
            helper.make_node("Constant", [], [f"{name}_c"], value=constant),
            helper.make_node(operator, ["sum", f"{name}_c"], [name]),
        ]
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(name, half, [2])])

    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=half),
        helper.make_node("Add", ["narrow", "bits"], ["added"]),
        helper.make_node("Twice", ["added"], ["doubled"], domain="mine"),
        helper.make_node("Add", ["doubled", "raw"], ["sum"]),
        helper.make_node("If", ["flag"], ["branched"], then_branch=branch("a", "Add"), else_branch=branch("b", "Mul")),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["filled"], value=fill),
        helper.make_node("EyeLike", ["square"], ["eye"], dtype=half),
        helper.make_node("ReduceSum", ["eye"], ["trace"], keepdims=0),
        helper.make_node("Mul", ["branched", "filled"], ["scaled"]),
        helper.make_node("Add", ["scaled", "trace"], ["last"]),
        helper.make_node("Cast", ["last"], ["y"], to=TensorProto.FLOAT),
    ]
    body = [
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.array(2.0, np.float16))),
        helper.make_node("Mul", ["given", "two"], ["result"]),
    ]
    function = helper.make_function("mine", "Twice", ["given"], ["result"], body, [helper.make_opsetid("", 18)])
    graph = helper.make_graph(
        nodes,
        "every place",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [bits, raw, numpy_helper.from_array(np.zeros((10, 10), np.float32), "square")],
        value_info=[helper.make_tensor_value_info("narrow", half, [2])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=9)


@pytest.mark.parametrize("flag", [True, False])
def test_halves_are_found_wherever_they_are(flag: bool) -> None:
    model = every_place()
    wide = onnx.load_from_string(widen_halves(model.SerializeToString()))
    onnx.checker.check_model(wide, full_check=True)
    assert not list(half_types(wide))
    given = {"x": np.float32([0.1, 0.2]), "flag": np.array(flag)}
    (found,) = OnnxRuntimeEngine(wide.SerializeToString(), widen=False).infer(given).values()
    total = 2 * (given["x"] + [1.5, -2]) + [3, 0.25]
    branched = np.add(total, [10, 20]) if flag else np.multiply(total, [10, 20])
    np.testing.assert_allclose(found, branched * 7 + 10, rtol=1e-6)


def test_what_is_not_known_is_copied() -> None:
    model = every_place()
    model.producer_name = model.graph.doc_string = "kept"
    model.metadata_props.add(key="a", value="b")
    data = model.SerializeToString() + b"\xfa\x3f\x03new"  # field 1023, of some later onnx.proto
    wide = widen_halves(data)
    assert wide.endswith(b"\xfa\x3f\x03new")
    found = onnx.load_from_string(wide)
    assert (found.producer_name, found.graph.doc_string, found.metadata_props[0].value) == ("kept", "kept", "b")
    assert [n.name for n in found.graph.node] == [n.name for n in model.graph.node]


def test_what_takes_or_gives_halves_keeps_its_types() -> None:
    model = every_place()
    kept = [node for node in model.graph.node if node.output[0] not in ("eye", "trace", "last", "y")]
    del model.graph.node[:]  # but for EyeLike, which ONNX Runtime does not have in float16
    model.graph.node.extend(kept)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("scaled", TensorProto.FLOAT16, [2]))
    data = model.SerializeToString()
    assert widen_halves(data) is data
    given = {"x": np.float32([0.1, 0.2]), "flag": np.array(True)}
    assert OnnxRuntimeEngine(data).infer(given)["scaled"].dtype == np.float16


def odd_length() -> bytes:
    model = every_place()
    model.graph.initializer[1].raw_data = b"odd"
    return model.SerializeToString()


def elsewhere() -> bytes:
    model = every_place()
    model.graph.initializer[1].ClearField("raw_data")
    model.graph.initializer[1].data_location = TensorProto.EXTERNAL
    model.graph.initializer[1].external_data.add(key="location", value="weights.bin")
    return model.SerializeToString()


UNREADABLE = {
    "cut short": every_place().SerializeToString()[:-9],
    "no graph": b"\x3a\x05graph",
    "a group": b"\x0b" + every_place().SerializeToString(),
    "an odd length": odd_length(),
    "weights elsewhere": elsewhere(),
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_one_clear_line(data: bytes) -> None:
    with pytest.raises(RssegError, match=r"bundle x: ONNX Runtime .* cannot load it: ") as caught:
        OnnxRuntimeEngine(data, name="bundle x")
    assert "\n" not in str(caught.value)


def test_a_processor_with_half_precision_runs_the_graph_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_bundle("cris-tiny").read("text.onnx")
    given = {"tokens": np.ones((1, 24), np.int64)}

    def keys(**options: Any) -> np.ndarray[Any, Any]:
        return OnnxRuntimeEngine(model, threads=1, **options).infer(given)["keys"]

    monkeypatch.setattr(engine_module, "computes_halves", lambda: False)
    stored, wide = keys(widen=False), keys()
    assert not np.array_equal(stored, wide)
    monkeypatch.setattr(engine_module, "computes_halves", lambda: True)
    np.testing.assert_array_equal(keys(), stored)
