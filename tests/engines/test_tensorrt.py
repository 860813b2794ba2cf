"""From a bundle's graph to an engine that is trusted, on a fake TensorRT and a fake GPU."""

from __future__ import annotations

import errno
import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsseg_edge.bundle import open_bundle
from rsseg_edge.engines.base import EngineAbsentError
from rsseg_edge.engines.cache import PLAN, EngineCache
from rsseg_edge.engines.choose import open_engine
from rsseg_edge.engines.graph_file import GraphFile, read_graph
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.engines.tensorrt import LOADED, TensorRTEngine
from rsseg_edge.engines.tensorrt_build import BuildRefusedError
from rsseg_edge.errors import RssegError, UsageError

pytest.importorskip("onnx", reason="the bundle's graph is made with onnx, which is the lab side's")


@pytest.fixture
def graph(bundle: Path) -> GraphFile:
    return read_graph(open_bundle(bundle))


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def image(height: int = 32, width: int = 64, seed: int = 0) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(seed).integers(0, 255, (1, height, width, 3), np.uint8)}


def run_once(graph: GraphFile, cache: EngineCache, said: list[str], frame: Any = None) -> dict[str, np.ndarray]:
    engine = TensorRTEngine(graph, threads=1, say=said.append, cache=cache)
    try:
        return engine.infer(frame or image())
    finally:
        engine.close()


def test_the_first_frame_builds_checks_and_keeps(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], graph: GraphFile, cache: EngineCache
) -> None:
    gpu = machine()
    trt, said = tensorrt(gpu), []
    found = run_once(graph, cache, said)
    expected = OnnxRuntimeEngine(graph.model).infer(image())
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
    assert said[0] == (
        "bundle levels: building an engine for image 1x32x64x3 (there is none of this model yet); "
        "this takes minutes, once"
    )
    assert said[1:-1] == [
        "bundle levels: building, 20 %",
        "bundle levels: building, 50 %",
        "bundle levels: building, 70 %",
    ]
    assert "100.00 % of its decisions are ONNX Runtime's" in said[-1]
    (record,) = cache.records()
    assert (record.agreement, record.frames, record.refused) == (1.0, 4, "")
    assert record.identity.capability == "8.7"
    assert gpu.leaks() == {}

    said.clear()
    run_once(graph, cache, said)
    assert (trt.builds, said) == (1, [])


def test_another_size_is_another_engine_and_few_stay_loaded(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], graph: GraphFile, cache: EngineCache
) -> None:
    gpu, said = machine(), []
    trt = tensorrt(gpu)
    engine = TensorRTEngine(graph, threads=1, say=said.append, cache=cache)
    for height in (32, 64, 96, 128, 160, 32):
        engine.infer(image(height))
        assert gpu.live["engine"] <= LOADED
    assert trt.builds == 5
    assert "(shapes image 1x64x64x3, the last build was for image 1x32x64x3)" in "".join(said)
    engine.close()
    assert gpu.leaks() == {}


def test_another_tensorrt_builds_anew_and_says_so(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], graph: GraphFile, cache: EngineCache
) -> None:
    gpu, said = machine(), []
    tensorrt(gpu)
    run_once(graph, cache, said)
    trt = tensorrt(gpu, "10.13.3")
    said.clear()
    run_once(graph, cache, said)
    assert "(runtime TensorRT 10.13.3, the last build was for TensorRT 10.3.0)" in said[0]
    assert trt.builds == 1


def test_an_engine_of_another_gpu_is_left_and_one_is_built(
    machine: Callable[..., Any],
    tensorrt: Callable[..., Any],
    graph: GraphFile,
    cache: EngineCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orin, said = machine(), []
    first = tensorrt(orin)
    run_once(graph, cache, said)
    thor = machine()
    monkeypatch.setattr(thor.driver.Device, "compute_capability", lambda self: (11, 0))
    trt = tensorrt(thor)
    said.clear()
    run_once(graph, cache, said)
    assert "(capability 11.0, the last build was for 8.7)" in said[0]
    assert (first.builds, trt.builds, len(cache.records())) == (1, 1, 2)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "does not match its checksum"),
        (lambda path: path.unlink(), "cannot be read (No such file or directory)"),
        (lambda path: path.with_name("engine.json").write_text("{}"), "has no readable record"),
    ],
)
def test_a_damaged_engine_is_built_again(
    machine: Callable[..., Any],
    tensorrt: Callable[..., Any],
    graph: GraphFile,
    cache: EngineCache,
    damage: Callable[[Path], None],
    reason: str,
) -> None:
    trt, said = tensorrt(machine()), []
    run_once(graph, cache, said)
    (plan,) = cache.root.glob(f"*/{PLAN}")
    damage(plan)
    said.clear()
    run_once(graph, cache, said)
    assert reason in said[0]
    assert trt.builds == 2


def test_an_engine_that_the_runtime_refuses_is_built_again(
    machine: Callable[..., Any],
    tensorrt: Callable[..., Any],
    graph: GraphFile,
    cache: EngineCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trt, said = tensorrt(machine()), []
    run_once(graph, cache, said)
    monkeypatch.setattr(trt, "header", lambda: b"PLAN of a changed driver\n")
    said.clear()
    run_once(graph, cache, said)
    assert "the one on disk is of no use (bundle levels: the engine does not load: Serialization" in said[0]
    assert trt.builds == 2


def test_an_engine_that_decides_otherwise_is_deleted_with_the_reason(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], graph: GraphFile, cache: EngineCache
) -> None:
    gpu, said = machine(), []
    trt = tensorrt(gpu)
    trt.wrong = 1
    message = r"parity gate: the engine of TensorRT 10\.3\.0 shares 0\.00 % of its decisions .* less than 99\.9 %"
    with pytest.raises(BuildRefusedError, match=message):
        run_once(graph, cache, said)
    assert list(cache.root.glob(f"*/{PLAN}")) == []
    (record,) = cache.records()
    assert record.refused
    assert gpu.leaks() == {}
    with pytest.raises(BuildRefusedError, match=r"to build it again, delete .*engines"):  # without building for minutes
        run_once(graph, cache, said)
    assert trt.builds == 1


def test_a_graph_that_the_parser_refuses_is_its_message(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], graph: GraphFile, cache: EngineCache
) -> None:
    tensorrt(machine())
    broken = GraphFile(graph.model.replace(b"Div", b"Dwv"), "levels")
    with pytest.raises(BuildRefusedError, match=r"TensorRT 10\.3\.0 does not take the graph: node \(Op\): .*Dwv"):
        run_once(broken, cache, [])
    assert cache.records() == []


def test_timings_are_kept_and_damaged_ones_are_dropped(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], graph: GraphFile, cache: EngineCache
) -> None:
    trt = tensorrt(machine())
    run_once(graph, cache, [])
    run_once(graph, cache, [], image(64))
    assert trt.timings == [b"", b"+"]
    (file,) = cache.root.glob(".timings/*.cache")
    file.write_bytes(b"damaged")
    run_once(graph, cache, [], image(96))
    assert trt.timings[-1] == b""
    assert file.read_bytes() == b"+"


def test_a_full_disk_leaves_a_good_engine_and_one_line(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], graph: GraphFile, small_disk: Path
) -> None:
    trt, said = tensorrt(machine()), []
    (small_disk / "ballast").write_bytes(bytes(240 << 10))
    (small_disk / "ballast2").write_bytes(bytes(8 << 10))
    trt.header = lambda: b"PLAN" + bytes(40 << 10)
    cache = EngineCache(small_disk / "engines")
    found = run_once(graph, cache, said)
    assert set(found) == {"class_map", "confidence"}
    assert [line for line in said if "No space left on device" in line and "the next run builds it again" in line]
    assert not list(small_disk.rglob("*.partial"))


def test_a_disk_that_fills_up_during_the_build_still_gives_the_frame(
    machine: Callable[..., Any],
    tensorrt: Callable[..., Any],
    graph: GraphFile,
    cache: EngineCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    gpu, said = machine(), []
    trt = tensorrt(gpu)
    with monkeypatch.context() as patch:
        patch.setattr("rsseg_edge.engines.cache.os.fsync", full)
        found = run_once(graph, cache, said)
    expected = OnnxRuntimeEngine(graph.model).infer(image())
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
    assert sum("No space left on device" in line for line in said) == 1
    assert cache.records() == []
    assert not list(cache.root.rglob("*.partial"))
    assert gpu.leaks() == {}
    run_once(graph, cache, said)  # with room again
    assert (trt.builds, len(cache.records())) == (2, 1)


def _process(root: Path, model: bytes, barrier: Any, results: Any) -> None:
    """Another process, with a GPU and a TensorRT of its own."""
    import sys
    import time
    from types import ModuleType

    import fake_cuda
    import fake_tensorrt

    gpu = fake_cuda.Machine()
    package = ModuleType("pycuda")
    package.driver = gpu.driver  # type: ignore[attr-defined]
    trt = fake_tensorrt.FakeTensorRT(gpu)
    trt.on_build = lambda: time.sleep(0.3)
    sys.modules.update({"pycuda": package, "pycuda.driver": gpu.driver, "tensorrt": trt})
    said: list[str] = []
    barrier.wait()
    run_once(GraphFile(model, "levels"), EngineCache(root), said)
    results.put((trt.builds, any("another process builds this engine" in line for line in said)))


def test_two_processes_build_one_engine(graph: GraphFile, cache: EngineCache) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    arguments = (cache.root, graph.model, barrier, results)
    processes = [context.Process(target=_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    found = sorted(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert found == [(0, True), (1, False)]
    assert len(cache.records()) == 1


def test_an_interrupt_while_building_ends_it_and_leaves_nothing(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], graph: GraphFile, cache: EngineCache
) -> None:
    gpu = machine()
    tensorrt(gpu)

    def say(line: str) -> None:
        if "%" in line:
            raise KeyboardInterrupt

    engine = TensorRTEngine(graph, threads=1, say=say, cache=cache)
    with pytest.raises(KeyboardInterrupt):
        engine.infer(image())
    engine.close()
    assert cache.records() == []
    assert gpu.leaks() == {}


def test_words_and_windows_are_filled_up_and_cut(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], cache: EngineCache
) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    crops = helper.make_tensor_value_info("crops", kinds.FLOAT, ["B", 5, 3])
    text = helper.make_tensor_value_info("text", kinds.FLOAT, ["Q", 3])
    cosines = helper.make_tensor_value_info("cosines", kinds.FLOAT, ["B", "Q", 5])
    nodes = [
        helper.make_node("Transpose", ["text"], ["columns"], perm=[1, 0]),
        helper.make_node("MatMul", ["crops", "columns"], ["last"]),
        helper.make_node("Transpose", ["last"], ["cosines"], perm=[0, 2, 1]),
    ]
    made = helper.make_graph(nodes, "cosines", [crops, text], [cosines])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    gpu, random = machine(), np.random.default_rng(0)
    trt = tensorrt(gpu)
    engine = TensorRTEngine(
        GraphFile(model, "words"), threads=1, say=lambda line: None, pad=(("crops", 0), ("text", 0)), cache=cache
    )
    for windows, words in ((3, 5), (4, 7), (4, 8), (1, 1)):
        inputs = {
            "crops": random.normal(size=(windows, 5, 3)).astype(np.float32),
            "text": random.normal(size=(words, 3)).astype(np.float32),
        }
        found = engine.infer(inputs)["cosines"]
        assert found.shape == (windows, words, 5)
        np.testing.assert_allclose(found, np.einsum("bpc,qc->bqp", *inputs.values()), rtol=1e-5)
    assert trt.builds == 2  # 4 windows by 8 words, and 1 by 1
    engine.close()


def test_auto_falls_to_onnxruntime_and_says_why(
    machine: Callable[..., Any],
    tensorrt: Callable[..., Any],
    graph: GraphFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    gpu, said = machine(), []
    trt = tensorrt(gpu)
    engine = open_engine(graph, threads=1, say=said.append)
    engine.infer(image())
    assert said[0] == "engine: tensorrt"
    trt.wrong = 1
    engine.infer(image(64))
    assert said[-1].startswith("engine: onnxruntime (bundle levels: parity gate: ")
    assert said[-1].endswith("it is deleted; ONNX Runtime has no CUDA provider)")
    engine.close()
    assert gpu.leaks() == {}


def test_what_is_not_there_is_one_line(graph: GraphFile, machine: Callable[..., Any], tensorrt: Any) -> None:
    with pytest.raises(UsageError, match=r"--engine tensorrt: TensorRT is not installed; pip install 'rsseg-edge\[jet"):
        open_engine(graph, engine="tensorrt")
    gpu = machine()
    tensorrt(gpu, "10.1.0")
    with pytest.raises(UsageError, match=r"TensorRT 10\.1\.0 is older than 10\.3"):
        open_engine(graph, engine="tensorrt")
    tensorrt(gpu)
    gpu.driver.Device.count = staticmethod(lambda: 0)
    with pytest.raises(EngineAbsentError, match="there is no NVIDIA GPU"):
        TensorRTEngine(graph, say=lambda line: None)
    with pytest.raises(UsageError, match="unknown engine 'cuda'"):
        open_engine(graph, engine="cuda")  # type: ignore[arg-type]


def test_a_result_is_fetched_while_the_next_frame_starts(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], graph: GraphFile, cache: EngineCache
) -> None:
    tensorrt(machine())
    engine = TensorRTEngine(graph, threads=1, say=lambda line: None, cache=cache)
    images = [image(seed=i) for i in range(30)]
    pending = [engine.start(images[0])]
    ready, found = threading.Semaphore(1), []

    def finish() -> None:
        for index in range(len(images)):
            ready.acquire()
            found.append(pending[index].result()["confidence"])

    thread = threading.Thread(target=finish)
    thread.start()
    for one in images[1:]:
        pending.append(engine.start(one))
        ready.release()
    thread.join()
    for one, confidence in zip(images, found, strict=True):
        np.testing.assert_array_equal(confidence, one["image"][..., 1])
    engine.close()


def test_a_missing_input_is_one_line(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], graph: GraphFile, cache: EngineCache
) -> None:
    tensorrt(machine())
    engine = TensorRTEngine(graph, say=lambda line: None, cache=cache)
    with pytest.raises(RssegError, match="bundle levels: inputs picture given, it takes image"):
        engine.infer({"picture": image()["image"]})
    engine.close()
