"""A GPU and a TensorRT that are not there; see ``fake_cuda.py`` and ``fake_tensorrt.py``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def _load(name: str) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


fake_cuda, fake_tensorrt = _load("fake_cuda"), _load("fake_tensorrt")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes a fake GPU that ``import pycuda.driver`` finds, and the recording of CUDA graphs."""

    def make(*arguments: Any, **options: Any) -> Any:
        made = fake_cuda.Machine(*arguments, **options)
        package = ModuleType("pycuda")
        package.driver = made.driver  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "pycuda", package)
        monkeypatch.setitem(sys.modules, "pycuda.driver", made.driver)
        monkeypatch.setattr("rsseg_edge.engines.cuda_graph.ctypes.CDLL", lambda name: made.libcuda)
        return made

    return make


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes a fake ``tensorrt`` for a fake GPU, which ``import tensorrt`` finds."""

    def make(machine: Any, version: str = "10.3.0") -> Any:
        made = fake_tensorrt.FakeTensorRT(machine, version)
        monkeypatch.setitem(sys.modules, "tensorrt", made)
        return made

    return make


@pytest.fixture(scope="session")
def sums() -> bytes:
    """``a`` float32 [2, 3] and ``b`` uint8 [2, 3] to ``sum`` float32 [2, 3] and ``b_again``, uint8 [2, 3]."""
    onnx = pytest.importorskip("onnx", reason="the graph is made with onnx, which is the lab side's")
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["b"], ["b_float"], to=kinds.FLOAT),
        helper.make_node("Add", ["a", "b_float"], ["sum"]),
        helper.make_node("Identity", ["b"], ["b_again"]),
    ]
    infos = {"a": kinds.FLOAT, "b": kinds.UINT8, "sum": kinds.FLOAT, "b_again": kinds.UINT8}
    a, b, total, again = (helper.make_tensor_value_info(n, k, [2, 3]) for n, k in infos.items())
    graph = helper.make_graph(nodes, "sums", [a, b], [total, again])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture
def frames() -> list[dict[str, np.ndarray]]:
    """Seven different inputs of :func:`sums`."""
    random = np.random.default_rng(3)
    return [
        {"a": random.normal(size=(2, 3)).astype(np.float32), "b": random.integers(0, 255, (2, 3), np.uint8)}
        for _ in range(7)
    ]
