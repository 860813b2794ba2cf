"""Blocks of mobile networks as operators, and weights rounded by what they do on images."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="calibration is the lab side: it needs onnx")
pytest.importorskip("torch", reason="the operators' bodies are the lab side's")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rsseg_edge.calibration.blocks import find_blocks  # noqa: E402
from rsseg_edge.calibration.clipping import clip_range  # noqa: E402
from rsseg_edge.calibration.insert import quantize  # noqa: E402
from rsseg_edge.calibration.plan import measured_tensors  # noqa: E402
from rsseg_edge.calibration.prepare import prepare  # noqa: E402
from rsseg_edge.calibration.ranges import measure_ranges  # noqa: E402
from rsseg_edge.calibration.rounding import round_columns, round_weights  # noqa: E402
from rsseg_edge.calibration.sites import find_sites  # noqa: E402
from rsseg_edge.calibration.wiring import Wiring  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402

UNBOUND = float(np.finfo(np.float32).max)


@pytest.fixture(scope="module")
def network() -> onnx.ModelProto:
    """A separable convolution, a block with a residual, one of stride 2 as TensorFlow pads it, and a head."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {"zero": np.array(0.0), "six": np.array(6.0), "scale": np.array(1 / 64)}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"], "scaling"),
        helper.make_node("Transpose", ["scaled"], ["x"], "planes", perm=[0, 3, 1, 2]),
    ]

    def conv(name: str, source: str, shape: tuple[int, ...], **attributes) -> str:
        fan = float(np.prod(shape[1:]))
        arrays[f"net.{name}.weight"] = rng.normal(0, 1.5 / np.sqrt(fan), shape)
        arrays[f"net.{name}.bias"] = rng.normal(0.3, 0.3, shape[0])
        inputs = [source, f"net.{name}.weight", f"net.{name}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [name], f"{name}_node", **attributes))
        return name

    def clamp(source: str) -> str:
        nodes.append(helper.make_node("Clip", [source, "zero", "six"], [f"{source}_c"], f"{source}_clip"))
        return f"{source}_c"

    stem = clamp(conv("stem", "x", (12, 3, 3, 3), pads=[1] * 4))
    first = clamp(conv("d0", stem, (12, 1, 3, 3), group=12, pads=[1] * 4))
    first = conv("p0", first, (8, 12, 1, 1))
    wide = clamp(conv("e1", first, (40, 8, 1, 1)))
    wide = clamp(conv("d1", wide, (40, 1, 5, 5), group=40, pads=[2] * 4))
    second = conv("p1", wide, (8, 40, 1, 1))
    nodes.append(helper.make_node("Add", [second, first], ["sum1"], "add1"))
    wide = clamp(conv("e2", "sum1", (33, 8, 1, 1)))
    wide = clamp(conv("d2", wide, (33, 1, 3, 3), group=33, pads=[0, 0, 1, 1], strides=[2, 2]))
    third = conv("p2", wide, (10, 33, 1, 1))
    nodes.append(helper.make_node("Relu", [third], ["relu2"], "relu2_node"))
    conv("head", "relu2", (3, 10, 1, 1))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "rows", "columns", 3])
    logits = helper.make_tensor_value_info("head", TensorProto.FLOAT, [1, 3, None, None])
    constants = [numpy_helper.from_array(a.astype(np.float32), k) for k, a in arrays.items()]
    graph = helper.make_graph(nodes, "g", [image], [logits], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="module")
def samples(make_picture):
    return [{"image": make_picture(seed)[None]} for seed in range(10)]


def test_blocks_are_found_with_their_limits_strides_and_residuals(network) -> None:
    blocks = find_blocks(Wiring(network))
    assert [(b.expand, b.depth, b.project) for b in blocks] == [
        (None, "d0_node", "p0_node"),
        ("e1_node", "d1_node", "p1_node"),
        ("e2_node", "d2_node", "p2_node"),
    ]
    assert [(b.source, b.hidden, b.output) for b in blocks] == [
        ("stem_c", "d0_c", "p0"),
        ("p0", "d1_c", "sum1"),
        ("sum1", "d2_c", "relu2"),
    ]
    assert [b.residual for b in blocks] == [False, True, False]
    assert [(b.stride, b.offset) for b in blocks] == [(1, 0), (1, 0), (2, 1)]
    assert [b.limits for b in blocks] == [(0, 6, -UNBOUND, UNBOUND)] * 2 + [(0, 6, 0, UNBOUND)]
    kinds = {site.node: site.kind for site in find_sites(network)[0]}
    assert {name for name, kind in kinds.items() if kind == "conv of a block"} == {
        "p0_node", "e1_node", "p1_node", "e2_node", "p2_node",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("node", "change"),
    [
        ("d1_node", {"dilations": [2, 2]}),
        ("d1_node", {"pads": [1, 1, 2, 2]}),
        ("d1_node", {"strides": [1, 2]}),
        ("e1_node", {"strides": [2, 2]}),
        ("d1_clip", {}),
    ],
)
def test_what_is_no_block_stays(network, node: str, change: dict) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(network)
    found = next(n for n in model.graph.node if n.name == node)
    if change:
        kept = [a for a in found.attribute if a.name not in change]
        del found.attribute[:]
        found.attribute.extend([*kept, *(helper.make_attribute(k, v) for k, v in change.items())])
    else:  # another reader between the layers
        model.graph.node.append(helper.make_node("Relu", [found.output[0]], ["seen"], "seen"))
    blocks = {block.project: block.expand for block in find_blocks(Wiring(model))}
    assert blocks.get("p1_node") != "e1_node"


@pytest.fixture(scope="module")
def quantised(network, samples):
    sites = [site for site in find_sites(network)[0] if site.kind == "conv of a block"]
    bounds = {
        name: clip_range(histogram, "max", symmetric=False)
        for name, histogram in measure_ranges(network, measured_tensors(sites), samples).items()
    }
    return sites, bounds


def logits(model, samples, **options) -> np.ndarray:
    engine = OnnxRuntimeEngine(model.SerializeToString(), **options)
    return np.concatenate([engine.infer(sample)["head"] for sample in samples])


def test_a_block_becomes_one_operator_that_gives_nearly_the_same(network, samples, quantised) -> None:
    sites, bounds = quantised
    made = quantize(network, sites, bounds, "cpu")
    onnx.checker.check_model(made)
    kinds = [node.op_type for node in made.graph.node]
    assert kinds.count("QSeparableConv") == 1
    assert kinds.count("QInvertedResidual") == 2
    assert kinds.count("Conv") == 2  # the stem and the head
    # Channels stay last between blocks.
    assert kinds.count("Transpose") == 1 + 2
    exact, found = logits(network, samples), logits(made, samples)
    assert np.abs(found - exact).mean() <= 0.03 * np.abs(exact).mean()
    # Where no compiled kernel is, the bodies give the same but for a code here and there.
    assert np.abs(logits(made, samples, kernels=False) - found).mean() <= 0.001 * np.abs(exact).mean()


def test_a_graph_of_such_operators_is_not_quantised_again(network, quantised) -> None:
    with pytest.raises(ValueError, match="quantised already"):
        prepare(quantize(network, *quantised, "cpu"))


def test_a_block_is_whole_or_stays(network, samples, quantised) -> None:
    sites, bounds = quantised
    made = quantize(network, [site for site in sites if site.node != "e1_node"], bounds | {"p1": (-9, 9)}, "cpu")
    kinds = [node.op_type for node in made.graph.node]
    assert kinds.count("QInvertedResidual") == 1
    assert kinds.count("Conv") == 5


def test_a_range_that_is_missing_is_named(network, quantised) -> None:
    sites, bounds = quantised
    with pytest.raises(ValueError, match="no range of d1_c"):
        quantize(network, sites, {k: v for k, v in bounds.items() if k != "d1_c"}, "cpu")


def test_rounded_weights_are_nearer_to_what_the_network_gave(network, samples, quantised) -> None:
    sites, bounds = quantised
    exact = logits(network, samples)
    errors = [
        float(np.square(logits(quantize(network, sites, bounds, "cpu", roundings), samples) - exact).mean())
        for roundings in ({}, round_weights(network, sites, samples))
    ]
    assert errors[1] < 0.8 * errors[0]
    for target in ("cpu", "tensorrt"):
        made = quantize(network, sites, {**bounds, "p0": (-9, 9)}, target, round_weights(network, sites, samples))
        onnx.checker.check_model(made)


def test_columns_make_up_for_each_other() -> None:
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(size=(2000, 24))) @ rng.normal(size=(24, 24)) * 0.2 + 1
    weight, second = rng.normal(size=(16, 24)), x.T @ x / len(x)
    steps = np.abs(weight).max(1) / 7  # coarse ones, to see a difference
    nearest = np.round(weight / steps[:, None])
    chosen = round_columns(weight, second, steps)
    assert (np.abs(chosen) <= 127).all()
    assert (chosen == np.round(chosen)).all()
    errors = [np.square((weight - q * steps[:, None]) @ x.T).mean() for q in (nearest, chosen)]
    assert errors[1] < 0.5 * errors[0]


def test_a_channel_that_is_never_there_does_not_matter() -> None:
    second = np.zeros((3, 3))
    second[0, 0] = 1.0
    chosen = round_columns(np.array([[0.5, 0.2, -0.3]]), second, np.array([0.1]))
    assert chosen[0, 0] == 5
