"""The same graph through several runtimes, taking turns on the same input in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.bench.contention import Contention
from rsseg_edge.bench.timing import in_parts, spread
from rsseg_edge.engines.base import Arrays, EngineAbsentError
from rsseg_edge.engines.graph_file import GraphFile
from rsseg_edge.engines.halves import widen_halves
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.engines.openvino import OpenVinoEngine
from rsseg_edge.kernels.registry import calls_operators

ROUNDS, WARM_UP = 15, 2
FEWEST, LONG = 5, 60.0
"""Rounds that are run in any case, and seconds after which there are no more."""
PAUSE = (
    0.05  # seconds before each run: threads of the runtime before it spin for a while, on the cores that this one needs
)
OURS, PLAIN = "our engine", "ONNX Runtime, plain"

Run = Callable[[], object]


@dataclass(frozen=True)
class Contest:
    """Who took part, and who could not.

    Attributes:
        wall: seconds of every round, float64 [rounds], by contestant, ours first.
        absent: why the others did not.
        others: cores that other processes used meanwhile; None where it is not known.
    """

    wall: Mapping[str, npt.NDArray[np.float64]]
    absent: Mapping[str, str]
    others: float | None = None

    def ratio(self, name: str) -> float:
        """Median of the contestant's time by ours in the same round: above 1, ours is faster."""
        return float(np.median(self.wall[name] / self.wall[OURS]))

    def ratio_spread(self, name: str) -> float:
        """How far the ratio may be off; see :func:`rsseg_edge.bench.timing.spread`."""
        return spread(in_parts(self.wall[name] / self.wall[OURS]))


def contest(ours: Run, model: bytes, inputs: Arrays, threads: int | None, torch_module: Callable[[], Any]) -> Contest:
    """Time contestants in turn.

    Args:
        ours: runs the graph once, as the segmenter does.
        model: the serialised graph.
        inputs: of the graph.
        threads: cores that each may use; None takes all.
        torch_module: makes what is called with the inputs as tensors in their order; it says why there is none by an
            ``EngineAbsentError``.
    """
    runs: dict[str, Run] = {OURS: ours}
    absent: dict[str, str] = {}
    makers: dict[str, Callable[[], Run]] = {
        PLAIN: lambda: _plain(model, inputs, threads),
        "OpenVINO": lambda: _openvino(model, inputs, threads),
        "PyTorch eager": lambda: _torch(torch_module, inputs, threads, compiled=False),
        "torch.compile": lambda: _torch(torch_module, inputs, threads, compiled=True),
    }
    for name, make in makers.items():
        with half_of_the_memory() as limit:
            try:
                run = make()
                run()
                runs[name] = run
            except EngineAbsentError as error:
                absent[name] = str(error)
            except Exception as error:  # a contestant that fails is told of; the others go on
                absent[name] = _failed(error, limit)
    times: dict[str, list[float]] = {name: [] for name in runs}
    end, contention = time.perf_counter() + LONG, Contention()
    for number in range(WARM_UP + ROUNDS):
        if number >= WARM_UP + FEWEST and time.perf_counter() > end:
            break
        for name, run in runs.items():
            time.sleep(PAUSE)
            begin = time.perf_counter()
            run()
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - begin)
    return Contest({name: np.asarray(values) for name, values in times.items()}, absent, contention.cores())


@contextmanager
def half_of_the_memory() -> Iterator[float | None]:
    """Within, this process may take half of the memory that is free now, in bytes; None where no system bounds it.

    A runtime that asks for more fails, where it would drive the machine, and whatever else runs there, out of memory:
    by their bodies our operators take 14 GB for a window of a large network.
    """
    try:
        import resource

        free = _kibibytes("/proc/meminfo", "MemAvailable") * 512
        size = _kibibytes("/proc/self/status", "VmSize") * 1024
    except (ImportError, OSError, StopIteration):
        yield None
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = size + free if before[0] == resource.RLIM_INFINITY else min(before[0], size + free)
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield float(free)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _kibibytes(file: str, key: str) -> int:
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def _failed(error: Exception, limit: float | None) -> str:
    told = str(error).strip()
    if limit is not None and (isinstance(error, MemoryError) or "alloc" in told):
        return f"takes more than half of the free memory, {limit / 1e9:.1f} GB"
    return f"failed: {(told or type(error).__name__).splitlines()[0][:120]}"


def _plain(model: bytes, inputs: Arrays, threads: int | None) -> Run:
    """The file as anybody's session runs it: our operators by their bodies, halves as halves."""
    if not calls_operators(model) and widen_halves(model) is model:
        raise EngineAbsentError("the same as ours: the graph has standard operators alone, in fp32")
    engine = OnnxRuntimeEngine(model, threads=threads, kernels=False, widen=False)
    return lambda: engine.infer(inputs)


def _openvino(model: bytes, inputs: Arrays, threads: int | None) -> Run:
    engine = OpenVinoEngine(GraphFile(model, "graph"), threads=threads, check=False)
    return lambda: engine.infer(inputs)


def _torch(make: Callable[[], Any], inputs: Arrays, threads: int | None, *, compiled: bool) -> Run:
    module = make()
    import torch

    if threads:
        torch.set_num_threads(threads)
    tensors = [torch.from_numpy(value) for value in inputs.values()]
    call = torch.compile(module) if compiled else module

    def run() -> object:
        with torch.inference_mode():
            return call(*tensors)

    return run
