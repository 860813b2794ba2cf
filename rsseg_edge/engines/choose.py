"""Which runtime a graph gets: the one that was asked for, or the fastest that this machine has."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import numpy.typing as npt

from rsseg_edge.engines.base import Arrays, Engine, EngineAbsentError, Pending
from rsseg_edge.engines.graph_file import GraphFile
from rsseg_edge.engines.onnx_file import read_signature
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine, has_cuda_provider
from rsseg_edge.engines.padding import Side
from rsseg_edge.engines.shared import BatchCounts, SharedEngine
from rsseg_edge.errors import UsageError

EngineName = Literal["auto", "tensorrt", "tensorrt-rtx", "onnxruntime-gpu", "onnxruntime", "openvino"]
ENGINES: tuple[EngineName, ...] = ("auto", "tensorrt", "tensorrt-rtx", "onnxruntime-gpu", "onnxruntime", "openvino")
Say = Callable[[str], None]


def open_engine(
    graph: GraphFile,
    *,
    threads: int | None = None,
    engine: EngineName = "auto",
    say: Say | None = None,
    pad: Collection[Side] = (),
    join: Side | None = None,
    shared: BatchCounts | None = None,
) -> Engine:
    """A runtime for a graph.

    Args:
        graph: what to run.
        threads: cores that one inference may use on a CPU; None takes all.
        engine: ``auto`` takes the first that is there and takes the graph, in the order of :data:`ENGINES`;
            TensorRT-RTX only where the bundle brings engines for it. ONNX Runtime is always there, so that OpenVINO
            runs only where it is asked for.
        say: told what was chosen and why, and what takes long; None writes it to the log ``rsseg_edge``.
        pad: free sides that may be filled up with zeros; see :mod:`rsseg_edge.engines.padding`.
        join: the side along which frames of several threads are joined to a batch, where it is free.
        shared: given, any number of threads may use the engine at once; counts what goes through. See
            :mod:`rsseg_edge.engines.shared`.

    Raises:
        UsageError: the engine that was asked for is not there.
        RssegError: it does not load the graph.
    """
    say = say or logging.getLogger("rsseg_edge").info
    opened = _choose(graph, threads, engine, say, pad)
    return opened if shared is None else SharedEngine(opened, read_signature(graph.model, graph.name), join, shared)


def _choose(graph: GraphFile, threads: int | None, engine: EngineName, say: Say, pad: Collection[Side]) -> Engine:
    if engine == "auto":
        skipped = () if graph.engines else ("tensorrt-rtx",)
        names = [name for name in ENGINES[1:] if name not in skipped]
        return _FirstThatRuns(names, lambda name: _open(name, graph, threads, say, pad), say)
    if engine not in ENGINES:
        raise UsageError(f"unknown engine '{engine}': {', '.join(ENGINES)}")
    try:
        return _open(engine, graph, threads, say, pad)
    except EngineAbsentError as error:
        raise UsageError(f"--engine {engine}: {error}{_remedy(engine)}") from None


def runs_on_cpu(engine: EngineName) -> bool:
    """Whether a CPU will run the graphs, as far as that is known before they are opened."""
    if engine != "auto":
        return engine == "onnxruntime"
    return importlib.util.find_spec("tensorrt") is None and not has_cuda_provider()


class _FirstThatRuns:
    """The first engine of a list that opens, and the next where it refuses the graph at the first frame of a size."""

    def __init__(self, names: Sequence[EngineName], open_one: Callable[[EngineName], Engine], say: Say) -> None:
        self._rest, self._open, self._say = list(names), open_one, say
        self._telling = threading.Lock()
        self._untold = ""  # told at the first frame: a request that cannot be met has its own line
        self._engine = self._following([])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return self._engine.outputs

    @property
    def at_once(self) -> int:
        """See :class:`rsseg_edge.engines.base.Engine`."""
        return self._engine.at_once

    def serve(self, at_once: int) -> None:
        """See :class:`rsseg_edge.engines.base.Engine`."""
        self._engine.serve(at_once)

    def start(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> Pending:
        """See :class:`rsseg_edge.engines.base.Engine`."""
        from rsseg_edge.engines.tensorrt_build import BuildRefusedError

        while True:
            with self._telling:  # once, though several threads may start at the same time
                untold, self._untold = self._untold, ""
            if untold:
                self._say(untold)
            try:
                return self._engine.start(inputs, outputs)
            except BuildRefusedError as error:
                if not self._rest:
                    raise
                self._engine.close()
                self._engine = self._following([str(error)])

    def infer(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Run once and wait."""
        return self.start(inputs, outputs).result()

    def close(self) -> None:
        """Release what the runtime holds."""
        self._engine.close()

    def _following(self, reasons: list[str]) -> Engine:
        while True:
            name = self._rest.pop(0)
            try:
                engine = self._open(name)
            except EngineAbsentError as error:
                reasons.append(str(error))
                if not self._rest:
                    raise
            else:
                self._untold = f"engine: {name}" + (f" ({'; '.join(reasons)})" if reasons else "")
                return engine


def _open(name: EngineName, graph: GraphFile, threads: int | None, say: Say, pad: Collection[Side]) -> Engine:
    if name in ("tensorrt", "tensorrt-rtx"):
        from rsseg_edge.engines.tensorrt import TENSORRT, TENSORRT_RTX, TensorRTEngine

        flavour = TENSORRT if name == "tensorrt" else TENSORRT_RTX
        return TensorRTEngine(graph, threads=threads, say=say, pad=pad, flavour=flavour)
    if name == "openvino":
        from rsseg_edge.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(graph, threads=threads)
    return OnnxRuntimeEngine(graph.model, threads=threads, name=graph.name, gpu=name == "onnxruntime-gpu")


def _remedy(engine: EngineName) -> str:
    extra = {
        "tensorrt": "rsseg-edge[jetson]",
        "tensorrt-rtx": "rsseg-edge[rtx]",
        "onnxruntime-gpu": "onnxruntime-gpu",
        "openvino": "rsseg-edge[openvino]",
    }
    return f"; pip install '{extra[engine]}'" if engine in extra else ""
