"""OpenVINO behind the protocol of the others: the same decisions, one line for what goes wrong."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino", reason="OpenVINO is not installed (pip install 'rsseg-edge[openvino]')")
pytest.importorskip("onnx", reason="the graphs are made with onnx, which is the lab side's")

import rsseg_edge
from rsseg_edge.bundle import open_bundle
from rsseg_edge.engines import openvino as module
from rsseg_edge.engines.choose import open_engine
from rsseg_edge.engines.graph_file import GraphFile, read_graph
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.engines.openvino import LOADED, OpenVinoEngine
from rsseg_edge.engines.tensorrt_build import BuildRefusedError
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.kernels.cases import cases
from rsseg_edge.kernels.single_op import single_op_model
from rsseg_edge.machine import available_cores


@pytest.fixture
def graph(bundle: Path) -> GraphFile:
    return read_graph(open_bundle(bundle))


def image(height: int = 32, width: int = 64, seed: int = 0) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(seed).integers(0, 255, (1, height, width, 3), np.uint8)}


def test_it_decides_as_onnxruntime_at_every_size_and_keeps_results_apart(graph: GraphFile) -> None:
    engine, parent = open_engine(graph, threads=1, engine="openvino"), OnnxRuntimeEngine(graph.model, threads=1)
    assert isinstance(engine, OpenVinoEngine)
    assert engine.outputs == parent.outputs
    frames = [image(32 * (1 + i % (LOADED + 1)), seed=i) for i in range(7)]
    found = [engine.start(frame).result() for frame in frames]  # none is overwritten by those after it
    for frame, result in zip(frames, found, strict=True):
        for name, value in parent.infer(frame).items():
            np.testing.assert_array_equal(result[name], value)
            assert result[name].dtype == value.dtype
    assert len(engine._requests) == LOADED
    assert list(engine.infer(frames[0], ("confidence",))) == ["confidence"]
    engine.close()


def test_our_operators_run_by_their_bodies() -> None:
    case = cases("MaskedAttention")[1]
    model = single_op_model(case, "float32")
    found = OpenVinoEngine(GraphFile(model, "op"), threads=1).infer(case.inputs("float32"))
    for name, value in OnnxRuntimeEngine(model, kernels=False).infer(case.inputs("float32")).items():
        np.testing.assert_allclose(found[name], value, atol=1e-4)


def test_a_bundle_segments_by_it(bundle: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (60, 90, 3), np.uint8)
    a, b = (rsseg_edge.load(bundle, engine=name)(picture) for name in ("openvino", "onnxruntime"))
    np.testing.assert_array_equal(a.class_map, b.class_map)


def test_one_that_decides_otherwise_is_refused(graph: GraphFile, monkeypatch: pytest.MonkeyPatch) -> None:
    run = OpenVinoEngine._run

    def wrong(self: OpenVinoEngine, request: object, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: value + 1 for name, value in run(self, request, inputs).items()}

    monkeypatch.setattr(OpenVinoEngine, "_run", wrong)
    message = r"bundle levels: parity gate: OpenVINO shares 0\.00 % of its decisions .* less than 99\.9 %"
    with pytest.raises(BuildRefusedError, match=message):
        open_engine(graph, threads=1, engine="openvino").infer(image())


def test_what_goes_wrong_is_one_line(graph: GraphFile) -> None:
    for model in (b"not onnx", graph.model.replace(b"Div", b"Dwv")):
        with pytest.raises(RssegError, match=r"bundle levels") as caught:
            OpenVinoEngine(GraphFile(model, "levels"))
        assert "\n" not in str(caught.value)
    engine = OpenVinoEngine(graph, threads=1)
    for inputs in ({"picture": image()["image"]}, {"image": np.zeros((1, 32, 64, 4), np.uint8)}):
        with pytest.raises(RssegError, match=r"bundle levels: (OpenVINO refuses|inference failed)") as caught:
            engine.infer(inputs)
        assert "\n" not in str(caught.value)


def test_where_it_is_absent_the_install_command_is_named(graph: GraphFile, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda name, *rest: None if name == "openvino" else find(name, *rest)
    )
    with pytest.raises(
        UsageError, match=r"--engine openvino: openvino is not installed; pip install 'rsseg-edge\[openvino\]'"
    ):
        open_engine(graph, engine="openvino")


def test_auto_leaves_it_out(graph: GraphFile) -> None:
    said: list[str] = []
    open_engine(graph, threads=1, say=said.append).infer(image())
    assert said[0].startswith("engine: onnxruntime")


@pytest.mark.parametrize("threads", [1, 2])
def test_it_gets_as_many_threads_as_are_asked_for(threads: int) -> None:
    engine = OpenVinoEngine(read_graph(open_bundle("cris-tiny"), "text.onnx"), threads=threads, check=False)
    engine.infer({"tokens": np.ones((1, 24), np.int64)})
    (request,) = engine._requests.values()
    told = request.get_compiled_model().get_property
    assert told("INFERENCE_NUM_THREADS") == min(threads, available_cores())
    assert told("NUM_STREAMS") == 1
