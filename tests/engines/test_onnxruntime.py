from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rsseg_edge.engines import onnxruntime as engine_module
from rsseg_edge.engines.graph_file import read_graph
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import RssegError
from rsseg_edge.kernels.cases import Case, cases, tolerance
from rsseg_edge.kernels.registry import OPS, ort_library
from rsseg_edge.segmenter import open_in_precision
from rsseg_edge.variants import PrecisionName


def test_outputs_are_named_and_selected(bundle: Path) -> None:
    engine = OnnxRuntimeEngine((bundle / "model.onnx").read_bytes(), threads=1)
    assert engine.outputs == ("class_map", "confidence")
    image = np.full((1, 5, 7, 3), 200, np.uint8)
    assert list(engine.infer({"image": image})) == ["class_map", "confidence"]
    only = engine.infer({"image": image}, ["class_map"])
    assert list(only) == ["class_map"]
    assert only["class_map"].tolist() == [[[2] * 7] * 5]


@pytest.mark.parametrize("model", [b"", b"not onnx", b"\x08\x07"])
def test_what_is_no_model_is_one_line(model: bytes) -> None:
    with pytest.raises(RssegError, match="bundle x: ONNX Runtime") as caught:
        OnnxRuntimeEngine(model, name="bundle x")
    assert "\n" not in str(caught.value)


def test_an_input_of_another_name_is_one_line(bundle: Path) -> None:
    engine = OnnxRuntimeEngine((bundle / "model.onnx").read_bytes())
    with pytest.raises(RssegError, match="inference failed"):
        engine.infer({"picture": np.zeros((1, 4, 4, 3), np.uint8)})


def single_op(op: str, dtype: str = "float32") -> tuple[Case, bytes]:
    """A graph of one of our operators, with its body."""
    pytest.importorskip("onnx", reason="the graph is made with onnx, which is the lab side's")
    from rsseg_edge.kernels.single_op import single_op_model

    case = cases(op)[0]
    return case, single_op_model(case, dtype)


@pytest.mark.skipif(ort_library() is None, reason="installed without a C++ compiler: no rsseg_ort_ops")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("op", OPS)
def test_compiled_kernels_and_bodies_give_the_same(op: str, dtype: str) -> None:
    case, model = single_op(op, dtype)
    compiled, standard = OnnxRuntimeEngine(model), OnnxRuntimeEngine(model, kernels=False)
    assert compiled.kernels == ort_library()
    assert standard.kernels is None
    ours, bodies = (e.infer(case.inputs(dtype)) for e in (compiled, standard))
    for name, values in bodies.items():
        a, b = ours[name].astype(np.float64), values.astype(np.float64)
        assert np.abs(a - b).max() <= 2 * tolerance(op, dtype) * np.abs(b).max()


def test_a_graph_without_our_operators_loads_no_library(bundle: Path) -> None:
    assert OnnxRuntimeEngine((bundle / "model.onnx").read_bytes()).kernels is None


@pytest.mark.parametrize("library", ["missing", "damaged"])
def test_a_library_that_the_runtime_refuses_leaves_the_bodies(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "librsseg_ort_ops.so"
    if library == "damaged":
        path.write_bytes(b"\x7fELF, but not for long")
    monkeypatch.setattr(engine_module, "ort_library", lambda: path)
    case, model = single_op("MaskedAttention")
    engine = OnnxRuntimeEngine(model)
    assert engine.kernels is None
    expected = OnnxRuntimeEngine(model, kernels=False).infer(case.inputs())["output"]
    np.testing.assert_array_equal(engine.infer(case.inputs())["output"], expected)


def test_a_bad_graph_of_our_operators_is_one_line_too() -> None:
    _, model = single_op("MaskedAttention")
    with pytest.raises(RssegError, match="bundle x: ONNX Runtime") as caught:
        OnnxRuntimeEngine(model[:-40], name="bundle x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_threads_that_ask_at_once_get_what_each_gets_alone(precision: PrecisionName) -> None:
    model = read_graph(open_in_precision("segclip-tiny", precision)).model
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (1, 96 + 32 * k, 128, 3), np.uint8) for k in range(4)] * 3
    alone = OnnxRuntimeEngine(model, threads=1)  # as each of the two is
    together = OnnxRuntimeEngine(model, threads=2)
    together.serve(2)
    assert (alone.at_once, together.at_once) == (1, 2)

    def features(engine: OnnxRuntimeEngine, image: np.ndarray) -> np.ndarray:
        return np.asarray(engine.infer({"image": image}, ("pixel_features",))["pixel_features"])

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda image: features(together, image), images))
    for image, values in zip(images, found, strict=True):
        np.testing.assert_array_equal(values, features(alone, image))


@pytest.mark.parametrize(("threads", "at_once", "expected"), [(None, 2, 0), (2, 1, 2), (2, 2, 1), (8, 2, 7), (1, 2, 1)])
def test_threads_that_ask_are_of_the_cores(bundle: Path, threads: int | None, at_once: int, expected: int) -> None:
    engine = OnnxRuntimeEngine((bundle / "model.onnx").read_bytes(), threads=threads)
    for served in (at_once, 3 - at_once, at_once):  # to and fro
        engine.serve(served)
        assert engine.at_once == served
    assert engine._session.get_session_options().intra_op_num_threads == expected
    assert list(engine.infer({"image": np.full((1, 5, 7, 3), 200, np.uint8)})) == ["class_map", "confidence"]


def test_a_model_that_is_too_large_to_be_kept_serves_one(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_KEPT", 8)
    engine = OnnxRuntimeEngine((bundle / "model.onnx").read_bytes(), threads=2)
    engine.serve(2)
    assert engine.at_once == 1
