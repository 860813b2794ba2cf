"""OpenVINO on a CPU: another runtime for the same graph, where it is the faster one (README.md of rsseg_edge/bench)."""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.engines.agreement import THRESHOLDS, agreement
from rsseg_edge.engines.base import Arrays, Done, EngineAbsentError, Pending
from rsseg_edge.engines.graph_file import GraphFile
from rsseg_edge.engines.onnx_file import read_signature
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.engines.tensorrt_build import BuildRefusedError
from rsseg_edge.errors import RssegError
from rsseg_edge.kernels.registry import calls_operators

LOADED = 4
"""Sizes that stay compiled. Compiled for one size a graph is faster than for any, and takes seconds."""

Shapes = tuple[tuple[str, tuple[int, ...]], ...]


class OpenVinoEngine:
    """An ONNX graph. See :class:`rsseg_edge.engines.base.Engine`.

    Our own operators run by their bodies, whose calls ``onnx`` writes out: OpenVINO knows no functions of a model. The
    first frame of a size is checked against ONNX Runtime, as every new engine is.

    Args:
        graph: what to run.
        threads: cores that one inference may use; None takes all of them.
        check: False trusts it: the caller compares.

    Raises:
        EngineAbsentError: a package is not installed.
        RssegError: OpenVINO does not read the graph.
    """

    def __init__(self, graph: GraphFile, *, threads: int | None = None, check: bool = True) -> None:
        for package in ("openvino", "onnx") if calls_operators(graph.model) else ("openvino",):
            if importlib.util.find_spec(package) is None:
                raise EngineAbsentError(f"{package} is not installed")
        import openvino

        self._graph, self._threads, self._check = graph, threads, check
        self._names = tuple(info.name for info in read_signature(graph.model, graph.name).outputs)
        self._core: Any = openvino.Core()
        self._requests: OrderedDict[Shapes, Any] = OrderedDict()
        try:
            self._model = _inlined(graph.model)
            self._core.read_model(self._model, b"")
        except Exception as error:  # OpenVINO's own errors derive from RuntimeError, onnx's from others
            raise RssegError(f"{graph.name}: OpenVINO cannot load it: {_last_line(error)}") from None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return self._names

    @property
    def at_once(self) -> int:
        """One."""
        return 1

    def serve(self, at_once: int) -> None:
        """It takes one."""

    def start(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> Pending:
        """Run once. See :class:`rsseg_edge.engines.base.Engine`."""
        return Done(self.infer(inputs, outputs))

    def infer(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Run once. See :class:`rsseg_edge.engines.base.Engine`.

        Raises:
            BuildRefusedError: on the first frame of a size it decides otherwise than ONNX Runtime.
            RssegError: it refused the inputs or failed.
        """
        shapes: Shapes = tuple((name, value.shape) for name, value in inputs.items())
        request = self._requests.get(shapes)
        if request is None:
            request = self._compile(shapes, inputs)
        self._requests.move_to_end(shapes)
        found = self._run(request, inputs)
        return {name: found[name] for name in (outputs if outputs is not None else self._names)}

    def close(self) -> None:
        """Drop the compiled graphs; OpenVINO frees their memory with them."""
        self._requests.clear()

    def _compile(self, shapes: Shapes, inputs: Arrays) -> Any:
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        settings["ENABLE_CPU_PINNING"] = False  # decoding and encoding run beside it, on any core
        if self._threads is not None:
            settings["INFERENCE_NUM_THREADS"] = self._threads
            settings["ENABLE_HYPER_THREADING"] = True  # cores are counted as everybody else counts them
        try:
            graph = self._core.read_model(self._model, b"")
            graph.reshape({name: list(shape) for name, shape in shapes})
            request = self._core.compile_model(graph, "CPU", settings).create_infer_request()
        except Exception as error:
            raise RssegError(f"{self._graph.name}: OpenVINO refuses the inputs: {_last_line(error)}") from None
        if self._check:
            self._compare(request, inputs)
        while len(self._requests) >= LOADED:
            self._requests.popitem(last=False)
        self._requests[shapes] = request
        return request

    def _run(self, request: Any, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        try:
            results = request.infer({name: np.ascontiguousarray(value) for name, value in inputs.items()})
        except Exception as error:
            raise RssegError(f"{self._graph.name}: inference failed: {_last_line(error)}") from None
        # Its arrays are views of buffers that the next frame fills.
        return {name: np.array(results[name]) for name in self._names}

    def _compare(self, request: Any, inputs: Arrays) -> None:
        parent = OnnxRuntimeEngine(self._graph.model, threads=self._threads, name=self._graph.name)
        try:
            share = agreement(parent.infer(inputs), self._run(request, inputs), self._graph.precision)
        finally:
            parent.close()
        least = THRESHOLDS[self._graph.precision]
        if share < least:
            raise BuildRefusedError(
                f"{self._graph.name}: parity gate: OpenVINO shares {100 * share:.2f} % of its decisions with ONNX "
                f"Runtime, less than {100 * least:.1f} %"
            )


def _inlined(model: bytes) -> bytes:
    """The model with the calls of our operators replaced by their bodies."""
    if not calls_operators(model):
        return model
    import onnx
    import onnx.inliner

    return bytes(onnx.inliner.inline_local_functions(onnx.load_model_from_string(model)).SerializeToString())


def _last_line(error: Exception) -> str:
    """What of OpenVINO's many lines says most: the last before its advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("To facilitate", "Exception from", "Check '"))]
    return (told or lines or [type(error).__name__])[-1][:200]
