"""Q/DQ nodes where they belong, right on either target."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from rsseg_edge.calibration.clipping import clip_range  # noqa: E402
from rsseg_edge.calibration.insert import quantize  # noqa: E402
from rsseg_edge.calibration.plan import measured_tensors, without_unmeasured  # noqa: E402
from rsseg_edge.calibration.prepare import prepare  # noqa: E402
from rsseg_edge.calibration.ranges import measure_ranges  # noqa: E402
from rsseg_edge.calibration.sites import find_sites  # noqa: E402
from rsseg_edge.calibration.smooth import channel_maxima, smooth, smoothable  # noqa: E402
from rsseg_edge.calibration.steps import step_of, weight_steps  # noqa: E402
from rsseg_edge.engines import onnxruntime as onnxruntime_engine  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from rsseg_edge.export.precision import to_fp16  # noqa: E402

TARGETS = ("cpu", "tensorrt")


@pytest.fixture(scope="module")
def samples(make_picture):
    return [{"image": make_picture(seed)[None]} for seed in range(12)]


@pytest.fixture(scope="module")
def prepared(graph):
    return prepare(graph)


@pytest.fixture(scope="module")
def histograms(prepared, samples):
    return measure_ranges(prepared, measured_tensors(find_sites(prepared)[0]), samples)


def bounds(histograms, target: str):
    return {name: clip_range(h, "max", symmetric=target == "tensorrt") for name, h in histograms.items()}


def logits(graph, samples) -> np.ndarray:
    engine = OnnxRuntimeEngine(graph.SerializeToString())
    return np.concatenate([engine.infer(sample, ["logits"])["logits"] for sample in samples])


def test_sites_are_layers_with_weights_and_the_last_one_stays(prepared) -> None:
    sites, kept = find_sites(prepared)
    assert [(s.node, s.kind) for s in sites] == [
        ("stem", "conv of the image"),
        ("depthwise", "depthwise conv"),
        ("pointwise", "conv"),
        ("expand", "matrix product"),
        ("contract", "matrix product"),
    ]
    assert kept == {"head": "last layer"}
    assert [s.output for s in sites[:2]] == ["x0", "x1"]  # behind the clamp


@pytest.mark.parametrize("target", TARGETS)
def test_int8_is_near_the_parent_and_every_site_counts(prepared, samples, histograms, target: str) -> None:
    sites, _ = find_sites(prepared)
    whole = quantize(prepared, sites, bounds(histograms, target), target)
    onnx.checker.check_model(whole)
    expected = logits(prepared, samples)
    errors = [np.abs(np.exp(logits(whole, samples)) - np.exp(expected)).mean()]
    errors += [
        np.abs(
            np.exp(logits(quantize(prepared, [s], bounds(histograms, target), target), samples)) - np.exp(expected)
        ).mean()
        for s in sites
    ]
    assert min(errors) > 0
    assert max(errors) < 0.05, errors


@pytest.mark.parametrize("target", TARGETS)
def test_types_are_those_that_the_target_takes(prepared, histograms, target: str) -> None:
    made = quantize(prepared, find_sites(prepared)[0], bounds(histograms, target), target).graph
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in made.initializer}
    for node in made.node:
        if node.op_type == "QuantizeLinear":
            zero = constants[node.input[2]]
            assert zero.dtype == (np.int8 if target == "tensorrt" else np.uint8)
            assert target == "cpu" or zero == 0
    weights = {n: v for n, v in constants.items() if v.dtype == np.int8 and v.ndim > 1}
    assert len(weights) == 5
    assert max(np.abs(w).max() for w in weights.values()) == 127
    biases = [n for n, v in constants.items() if v.dtype == np.int32 and v.any()]
    assert len(biases) == (3 if target == "cpu" else 0)


def test_onnx_runtime_runs_integers(prepared, samples, histograms, tmp_path) -> None:
    """Every convolution, the sum and both products become integer kernels: nothing is rounded for nothing."""
    import onnxruntime as ort

    made = quantize(prepared, find_sites(prepared)[0], bounds(histograms, "cpu"), "cpu")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(
        made.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["WeightBiasQuantization"],
    )
    ran = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert ran.count("QLinearConv") == 3
    assert ran.count("QLinearAdd") == 1
    assert ran.count("MatMul") + ran.count("FusedMatMul") == 1, ran  # the head
    assert "Conv" not in ran
    assert "Clip" not in ran


def test_a_float_convolution_between_integer_ones_stays_exact(prepared, samples, histograms) -> None:
    """ONNX Runtime would quantise its weight by tensor on its own; the runtime forbids it."""
    sites = [s for s in find_sites(prepared)[0] if s.kind == "conv"]
    made = quantize(prepared, sites, bounds(histograms, "cpu"), "cpu")
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    exact = np.concatenate([plain.run(["logits"], sample)[0] for sample in samples])
    assert np.abs(np.exp(logits(made, samples)) - np.exp(exact)).mean() < 2e-3


def test_smoothing_computes_the_same_and_tames_the_outlier(prepared, samples) -> None:
    norms = smoothable(prepared, find_sites(prepared)[0])
    assert list(norms) == ["normed"]
    before = channel_maxima(prepared, ["normed"], samples)["normed"]
    smoothed = smooth(prepared, norms, {"normed": before})
    after = channel_maxima(smoothed, ["normed"], samples)["normed"]
    assert before.max() / np.median(before) > 20
    assert after.max() / np.median(after) < 0.4 * before.max() / np.median(before)
    np.testing.assert_allclose(logits(smoothed, samples), logits(prepared, samples), atol=2e-4)


def test_ranges_that_are_no_numbers_never_reach_a_graph(prepared, histograms) -> None:
    sites, _ = find_sites(prepared)
    broken = dict(histograms)
    broken["normed"] = type(histograms["normed"])(finite=False)
    good, bad = without_unmeasured(sites, broken)
    assert bad == {"expand": "a value was not finite on the calibration images"}
    assert len(good) == 4
    for wrong in ((0.0, float("nan")), (float("-inf"), 1.0), (0.0, 0.0)):
        with pytest.raises(ValueError, match="no range"):
            step_of(wrong, "cpu")
    with pytest.raises(ValueError, match="no range of relu"):
        quantize(prepared, sites, {k: v for k, v in bounds(histograms, "cpu").items() if k != "relu"}, "cpu")


def test_zero_is_exact_on_either_target() -> None:
    for low, high in ((0.0, 6.0), (-0.3, 2.1), (-5.0, 0.0), (1.0, 3.0)):
        step = step_of((low, high), "cpu")
        assert 0 <= step.zero <= 255
        assert (255 - step.zero) * step.scale >= high * 0.995
        assert step_of((low, high), "tensorrt").zero == 0


def test_a_channel_of_zeros_and_a_large_bias_have_steps() -> None:
    weight = np.array([[0.0, 0.0], [1.0, -0.5]], np.float32)
    steps = weight_steps(weight, 0, 127)
    assert (steps > 0).all()
    assert steps[1] == np.float32(1 / 127)
    assert weight_steps(weight, 0, 127, np.array([0.0, 1.0]))[1] == 1.0


def test_a_half_precision_graph_is_widened_to_the_same_function(graph, samples) -> None:
    half = to_fp16(prepare(graph), [])
    wide = prepare(half)
    assert all(t.data_type != onnx.TensorProto.FLOAT16 for t in wide.graph.initializer)
    np.testing.assert_allclose(np.exp(logits(wide, samples)), np.exp(logits(graph, samples)), atol=0.02)
    assert find_sites(wide)[0]


def test_a_quantised_graph_is_not_quantised_again(prepared, histograms) -> None:
    made = quantize(prepared, find_sites(prepared)[0], bounds(histograms, "cpu"), "cpu")
    with pytest.raises(ValueError, match="quantised already"):
        prepare(made)


def pyramid(*, read_elsewhere: bool) -> onnx.ModelProto:
    """Two levels of features, the smaller enlarged by repeating pixels and added to the larger, as FPN does it."""
    node, kinds = onnx.helper.make_node, onnx.TensorProto
    rng = np.random.default_rng(1)
    weights = {"fine": (8, 3, 1, 1), "coarse": (8, 8, 2, 2), "smooth": (8, 8, 1, 1), "head": (3, 8, 1, 1)}
    constants = [onnx.numpy_helper.from_array(rng.normal(0, 0.5, s).astype(np.float32), n) for n, s in weights.items()]
    constants.append(onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    nodes = [
        node("Cast", ["image"], ["float"], to=kinds.FLOAT),
        node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        node("Conv", ["planes", "fine"], ["f"]),
        node("Conv", ["f", "coarse"], ["c"], strides=[2, 2]),
        node("Resize", ["c", "", "scales"], ["up"], name="up", mode="nearest"),
        node("Add", ["f", "up"], ["sum"]),
        node("Conv", ["sum", "smooth"], ["s"]),
        node("Conv", ["s", "head"], ["logits"]),
    ]
    outputs = [onnx.helper.make_tensor_value_info("logits", kinds.FLOAT, None)]
    if read_elsewhere:
        nodes.append(node("Relu", ["up"], ["other"]))
        outputs.append(onnx.helper.make_tensor_value_info("other", kinds.FLOAT, None))
    image = onnx.helper.make_tensor_value_info("image", kinds.UINT8, [1, 16, 16, 3])
    graph = onnx.helper.make_graph(nodes, "pyramid", [image], outputs, constants)
    return prepare(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8))


@pytest.mark.parametrize("read_elsewhere", [False, True])
def test_pixels_repeated_for_a_sum_stay_integers_unless_someone_else_reads_them(read_elsewhere: bool, samples) -> None:
    model = pyramid(read_elsewhere=read_elsewhere)
    sites, _ = find_sites(model)
    crops = [{"image": sample["image"][:, :16, :16]} for sample in samples]
    ranges = measure_ranges(model, measured_tensors(sites), crops)
    made = quantize(model, sites, bounds(ranges, "cpu"), "cpu")
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in made.graph.initializer}
    makers = {name: n for n in made.graph.node for name in n.output}
    resize = next(n for n in made.graph.node if n.name == "up")
    behind = [n for n in made.graph.node if "up" in n.input and n.op_type == "QuantizeLinear"]
    if read_elsewhere:
        assert not behind
    else:
        before = makers[resize.input[0]]
        assert before.op_type == "DequantizeLinear"
        assert [constants[n] for n in behind[0].input[1:]] == [constants[n] for n in before.input[1:]]
    assert np.abs(logits(made, crops) - logits(model, crops)).max() < 0.05 * np.abs(logits(model, crops)).max()


@pytest.mark.parametrize("vnni", ["as it is", "absent"])
def test_the_largest_products_do_not_saturate(vnni: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of 255 x 127 exceed 16 bits, in which an x86 processor without VNNI would add them."""
    if vnni == "absent":
        monkeypatch.setattr(onnxruntime_engine, "has_vnni", lambda: False)
    node, kinds = onnx.helper.make_node, onnx.TensorProto
    weight = np.where(np.arange(64 * 8).reshape(64, 8) % 7 < 5, 1.0, -1.0).astype(np.float32)
    nodes = [
        node("Cast", ["bytes"], ["x"], to=kinds.FLOAT),
        node("MatMul", ["x", "weight"], ["y"], name="first"),
        node("MatMul", ["y", "last"], ["logits"], name="last"),
    ]
    constants = [onnx.numpy_helper.from_array(weight, "weight")]
    constants.append(onnx.numpy_helper.from_array(np.eye(8, dtype=np.float32), "last"))
    given = onnx.helper.make_tensor_value_info("bytes", kinds.UINT8, [32, 64])
    wanted = onnx.helper.make_tensor_value_info("logits", kinds.FLOAT, [32, 8])
    graph = onnx.helper.make_graph(nodes, "products", [given], [wanted], constants)
    opset = [onnx.helper.make_opsetid("", 18)]
    model = prepare(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8))
    sites, _ = find_sites(model)
    assert [s.node for s in sites] == ["first"]
    made = quantize(model, sites, {"x": (0.0, 255.0), "y": (-16320.0, 16320.0)}, "cpu")
    large = [{"bytes": np.full((32, 64), 255, np.uint8)}]
    np.testing.assert_allclose(logits(made, large), logits(model, large), rtol=1e-5)
