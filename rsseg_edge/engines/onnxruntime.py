"""ONNX Runtime on a CPU, the engine that is always there, or on a GPU by its CUDA provider."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy.typing as npt

from rsseg_edge.engines.base import Arrays, Done, EngineAbsentError, Pending
from rsseg_edge.engines.halves import widen_halves
from rsseg_edge.engines.wanted import only_for
from rsseg_edge.errors import RssegError
from rsseg_edge.kernels.registry import calls_operators, ort_library
from rsseg_edge.machine import computes_halves, has_vnni


class OnnxRuntimeEngine:
    """An ONNX graph. See :class:`rsseg_edge.engines.base.Engine`.

    Our own operators run as compiled kernels where those are installed, and by the bodies in the model where they are
    not, or where ONNX Runtime refuses them: one older than 1.16, for instance.

    Args:
        model: the serialised ONNX model.
        threads: cores that one inference may use; None takes all of them.
        name: what error messages call the model.
        kernels: False runs the bodies even so.
        gpu: run on the GPU, our operators by their bodies: the compiled kernels are a CPU's.
        widen: a graph in float16 runs in float32 where the processor has no arithmetic for halves, see
            :mod:`rsseg_edge.engines.halves`; False runs it as it is, which is nearer to what a GPU makes of it.

    Attributes:
        outputs: names of the graph's outputs.
        at_once: threads that may infer at the same time; see :meth:`serve`.
        kernels: the library of compiled kernels in use; None where there is none or the graph needs none.
        gpu: whether it runs on the GPU.

    Raises:
        EngineAbsentError: ``gpu``, and this ONNX Runtime runs on none.
        RssegError: ONNX Runtime does not load the model.
    """

    def __init__(
        self,
        model: bytes,
        *,
        threads: int | None = None,
        name: str = "model",
        kernels: bool = True,
        gpu: bool = False,
        widen: bool = True,
    ) -> None:
        if widen and not gpu and not computes_halves():
            model = widen_halves(model)
        self._name, self.gpu, self._threads, self.at_once = name, gpu, threads, 1
        self._providers = _gpu_providers() if gpu else [_CPU]
        self.kernels = ort_library() if kernels and not gpu and calls_operators(model) else None
        try:
            self._session = self._load(model)
        except Exception as error:  # ONNX Runtime raises its own classes, which derive from Exception directly
            raise RssegError(f"{name}: ONNX Runtime {_version()} cannot load it: {_first_line(error)}") from None
        self.outputs: tuple[str, ...] = tuple(o.name for o in self._session.get_outputs())
        self._computed, self._used = frozenset(self.outputs), set[frozenset[str]]()
        # Of a large model the memory is worth more than the time.
        self._model = model if len(self.outputs) > 1 and len(model) <= _KEPT else None
        self._to_and_fro = False
        self._lock = threading.Lock()
        if gpu and _CUDA not in self._session.get_providers():  # it goes on with the CPU and tells only its log
            raise EngineAbsentError("ONNX Runtime's CUDA provider does not start here")

    def start(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> Pending:
        """Run once. See :class:`rsseg_edge.engines.base.Engine`."""
        return Done(self.infer(inputs, outputs))

    def infer(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Run once. See :class:`rsseg_edge.engines.base.Engine`."""
        names = tuple(outputs) if outputs is not None else self.outputs
        try:
            results = self._session_for(frozenset(names)).run(list(names), dict(inputs))
        except Exception as error:
            raise RssegError(f"{self._name}: inference failed: {_first_line(error)}") from None
        return dict(zip(names, results, strict=True))

    def serve(self, at_once: int) -> None:
        """Share the cores among the frames of several threads. See :class:`rsseg_edge.engines.base.Engine`.

        Two frames at once, each on half of the cores, take less time than one after the other on all of them, and twice
        the memory. Not on a GPU, nor for a model that is too large to be kept or has a single output.

        Raises:
            RssegError: there is no memory to load the model anew.
        """
        with self._lock:
            if self.gpu or self._model is None or at_once == self.at_once:
                return
            part = self._model if self._computed == set(self.outputs) else only_for(self._model, self._computed)
            before, self.at_once = self.at_once, at_once
            try:
                session = self._load(part)
            except Exception as error:
                self.at_once = before
                raise RssegError(f"{self._name}: ONNX Runtime cannot load it again: {_first_line(error)}") from None
            self._session = session

    def close(self) -> None:
        """Drop the session; ONNX Runtime frees its memory with it."""
        del self._session
        self._model = None

    def _load(self, model: bytes) -> Any:
        if self.kernels is not None:
            try:
                return _session(model, self._cores(), self.kernels, self._providers)
            except Exception:  # of the library: the bodies compute the same; or of the model, which fails again
                self.kernels = None
        return _session(model, self._cores(), None, self._providers)

    def _cores(self) -> int | None:
        """Of one frame; the threads that ask work, too, and are not counted twice."""
        return None if self._threads is None else max(1, self._threads - self.at_once + 1)

    def _session_for(self, wanted: frozenset[str]) -> Any:
        """A session that computes what is wanted and, as long as that does not change to and fro, nothing else."""
        with self._lock:
            changes = wanted != self._computed and wanted <= set(self.outputs)
            if self._model is not None and changes and not self._to_and_fro:
                again = wanted in self._used
                target = frozenset(self.outputs) if again else wanted
                if target != self._computed:
                    part = only_for(self._model, target)
                    del self._session  # before the next: the memory of a run is its
                    self._session = self._load(part)
                    self._computed = target
                self._to_and_fro = again
            self._used.add(wanted)
            return self._session


_KEPT = 32 << 20
"""Bytes of a model that is kept, to compute a part of it alone when its runs ask for that."""

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def _gpu_providers() -> list[str]:
    if not has_cuda_provider():
        raise EngineAbsentError("ONNX Runtime has no CUDA provider")
    return [_CUDA, _CPU]


def has_cuda_provider() -> bool:
    """Whether this ONNX Runtime was built for NVIDIA's GPUs."""
    import onnxruntime as ort

    return _CUDA in ort.get_available_providers()


def _session(model: bytes, threads: int | None, library: Path | None, providers: list[str]) -> Any:
    import onnxruntime as ort  # 0.1 s: not at import of this module

    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors come back as exceptions; warnings about our graph are not the user's
    # By default threads that wait for work burn their core meanwhile: 22 of 74 core ms a frame, which the codecs
    # beside them need, and a battery feels.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Laid out ahead, the memory of a run is half as much again (a window of 1536 px: 619 MB without, 943 MB with), and
    # no run is faster for it.
    options.enable_mem_pattern = False
    if threads is not None:
        options.intra_op_num_threads = threads
    if has_vnni() is False:
        # Such an x86 processor adds pairs of products of bytes in 16 bits, which saturate without a word. This takes
        # slower products that do not.
        options.add_session_config_entry("session.x64quantprecision", "1")
    if library is not None:
        options.register_custom_ops_library(str(library))
    # Between two quantised convolutions it would quantise a third that was left in float on purpose, by tensor.
    session = ort.InferenceSession(model, options, providers=providers, disabled_optimizers=["WeightBiasQuantization"])
    if providers == [_CPU]:
        session._model_bytes = None  # kept to start again on another provider: of widened weights the only copy
    return session


def folded(model: bytes) -> bytes:
    """A model of standard operators after ONNX Runtime computed what depends on constants alone.

    Raises:
        RssegError: ONNX Runtime does not load the model.
    """
    import onnxruntime as ort

    with TemporaryDirectory(prefix="rsseg-folded-") as folder:
        path = Path(folder) / "folded.onnx"
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        try:
            ort.InferenceSession(model, options, providers=[_CPU])
        except Exception as error:
            raise RssegError(f"ONNX Runtime {_version()} cannot load the graph: {_first_line(error)}") from None
        return path.read_bytes()


def _version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
