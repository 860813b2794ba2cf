"""TensorRT and TensorRT-RTX on the GPU at hand: engines are built, checked against ONNX Runtime, and kept.

TensorRT builds where the engine runs. TensorRT-RTX may also take an engine that came with the bundle, built on a
machine without a GPU; it is checked here like any other.
"""

from __future__ import annotations

import hashlib
import importlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from rsseg_edge.engines.agreement import THRESHOLDS, agreement, reflections
from rsseg_edge.engines.base import Arrays, EngineAbsentError, Pending
from rsseg_edge.engines.cache import EngineCache, Identity, Record, now
from rsseg_edge.engines.cuda import Device
from rsseg_edge.engines.executor import Executor, PlanRefusedError
from rsseg_edge.engines.graph_file import GraphFile
from rsseg_edge.engines.onnx_file import read_signature, shape_text
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.engines.padding import CutLater, Padding, Side
from rsseg_edge.engines.tensorrt_build import OPTIONS, BuildRefusedError, Built, Plugins, build, find_plugins
from rsseg_edge.errors import RssegError
from rsseg_edge.kernels.registry import trt_library

LOADED = 4
"""Engines that stay loaded: one for each size of the images that come along."""

Shapes = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Flavour:
    """One of the two runtimes.

    Attributes:
        module: that is imported.
        title: what users call it.
        oldest: version that will do.
        plugins: whether networks may hold plugins; TensorRT-RTX has none and runs our operators' bodies.
    """

    module: str
    title: str
    oldest: tuple[int, int]
    plugins: bool


TENSORRT = Flavour("tensorrt", "TensorRT", (10, 3), True)
TENSORRT_RTX = Flavour("tensorrt_rtx", "TensorRT-RTX", (1, 3), False)


class TensorRTEngine:
    """A graph on the GPU. See :class:`rsseg_edge.engines.base.Engine`.

    TensorRT's sides are fixed: the first frame of a size loads the engine for it, or builds it, which takes minutes
    once. A build is checked with that frame against ONNX Runtime and thrown away where the two decide differently.

    Args:
        graph: what to run.
        threads: of ONNX Runtime during the check; None takes all cores.
        say: told what takes long, and why.
        pad: free sides that may be filled up with zeros; see :mod:`rsseg_edge.engines.padding`.
        cache: of engines; None takes the user's.
        flavour: which of the two runtimes.

    Raises:
        EngineAbsentError: TensorRT or pycuda is not there, or no GPU.
    """

    def __init__(
        self,
        graph: GraphFile,
        *,
        threads: int | None = None,
        say: Callable[[str], None],
        pad: Collection[Side] = (),
        cache: EngineCache | None = None,
        flavour: Flavour = TENSORRT,
    ) -> None:
        self._flavour = flavour
        self._trt = import_runtime(flavour)
        self._graph, self._threads, self._say = graph, threads, say
        self._signature = read_signature(graph.model, graph.name)
        self._padding = Padding(self._signature, pad)
        self._cache = cache or EngineCache()
        self._digest = hashlib.sha256(graph.model).hexdigest()
        self._plugins: Plugins | None = None
        self._loaded: OrderedDict[Shapes, Executor] = OrderedDict()
        self._told: set[str] = set()
        try:
            self._device = Device()
        except RssegError as error:
            raise EngineAbsentError(str(error)) from None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return tuple(info.name for info in self._signature.outputs)

    @property
    def at_once(self) -> int:
        """One, which does not wait for its frames."""
        return 1

    def serve(self, at_once: int) -> None:
        """It takes one."""

    def start(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> Pending:
        """Send a frame off. See :class:`rsseg_edge.engines.base.Engine`.

        Raises:
            BuildRefusedError: TensorRT does not take the graph, or computes something else.
            RssegError: the inputs do not fit, or CUDA failed.
        """
        filled, real = self._padding.fill(inputs)
        pending = self._executor(filled).start(filled, outputs)
        return CutLater(pending, self._padding, real) if real else pending

    def infer(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Run once and wait."""
        return self.start(inputs, outputs).result()

    def close(self) -> None:
        """Return all memory of the GPU."""
        while self._loaded:
            self._loaded.popitem()[1].close()
        self._device.close()

    def _executor(self, inputs: Arrays) -> Executor:
        shapes: Shapes = tuple((info.name, inputs[info.name].shape) for info in self._known(inputs))
        executor = self._loaded.get(shapes)
        if executor is None:
            while len(self._loaded) >= LOADED:
                self._loaded.popitem(last=False)[1].close()
            executor = self._loaded[shapes] = self._open(shapes, inputs)
        self._loaded.move_to_end(shapes)
        return executor

    def _known(self, inputs: Arrays) -> Sequence[Any]:
        missing = [info.name for info in self._signature.inputs if info.name not in inputs]
        if missing or len(inputs) != len(self._signature.inputs):
            wanted = ", ".join(info.name for info in self._signature.inputs)
            raise RssegError(f"{self._graph.name}: inputs {', '.join(inputs)} given, it takes {wanted}")
        return self._signature.inputs

    def _open(self, shapes: Shapes, inputs: Arrays) -> Executor:
        """The engine from disk, or a new one."""
        if self._plugins is None and self._flavour.plugins:
            with self._device:
                self._plugins = find_plugins(self._trt, self._graph.model, trt_library())
        identity = self._identity(shapes)
        found = self._from_disk(identity)
        if isinstance(found, Executor):
            return found
        with self._cache.building(identity, lambda line: self._say(f"{self._graph.name}: {line}")):
            found = self._from_disk(identity)  # another process may have built it meanwhile
            return found if isinstance(found, Executor) else self._build(identity, shapes, inputs, found)

    def _from_disk(self, identity: Identity) -> Executor | str:
        """The engine, or why there is none.

        Raises:
            BuildRefusedError: it was built and refused before.
        """
        found = self._cache.find(identity)
        if isinstance(found, str):
            return found
        record, plan = found
        if record.refused:
            again = f"to build it again, delete {self._cache.root / identity.key}"
            raise BuildRefusedError(f"{record.refused} (found on {record.built}; {again})")
        try:
            return self._load(plan)
        except PlanRefusedError as error:
            return f"the one on disk is of no use ({error})"

    def _build(self, identity: Identity, shapes: Shapes, inputs: Arrays, reason: str) -> Executor:
        name = self._graph.name
        built = self._prebuilt(shapes)
        if built is None:
            self._say(f"{name}: building an engine for {identity.shapes} ({reason}); this takes minutes, once")
            with self._device:
                built = build(
                    self._trt,
                    self._graph.model,
                    dict(shapes),
                    name=name,
                    plugins=self._plugins,
                    timings=self._cache.read_timings(identity),
                    progress=_percent(self._say, name),
                )
            self._cache.keep_timings(identity, built.timings)
        executor = self._load(built.plan)
        try:
            record = self._checked(identity, built, executor, inputs)
        except BaseException:
            executor.close()
            raise
        try:
            self._cache.keep(record, b"" if record.refused else built.plan)
        except RssegError as error:
            self._say(f"{name}: {error}: the next run builds it again")
        if record.refused:
            executor.close()
            raise BuildRefusedError(record.refused)
        share = f"{100 * record.agreement:.2f} % of its decisions are ONNX Runtime's"
        made = f"built in {built.seconds:.0f} s" if built.seconds else "the bundle's engine is taken"
        self._say(f"{name}: {made}, {len(built.plan) / 1e6:.1f} MB; {share}")
        return executor

    def _prebuilt(self, shapes: Shapes) -> Built | None:
        """The bundle's own engine for this runtime, GPU and size, if it brings one."""
        for brought in self._graph.engines:
            fits = brought.runtime == self._title and self._device.capability in brought.capabilities
            if fits and brought.shapes == dict(shapes):
                return Built(brought.read(), b"", 0.0)
        return None

    @property
    def _title(self) -> str:
        return f"{self._flavour.title} {self._trt.__version__}"

    def _checked(self, identity: Identity, built: Built, executor: Executor, inputs: Arrays) -> Record:
        """The parity gate: the frame at hand and its reflections, through the engine and through its parent."""
        frames = reflections(inputs)
        parent = OnnxRuntimeEngine(self._graph.model, threads=self._threads, name=self._graph.name)
        try:
            share = min(agreement(parent.infer(f), executor.start(f).result(), self._graph.precision) for f in frames)
        finally:
            parent.close()
        least = THRESHOLDS[self._graph.precision]
        refused = ""
        if share < least:
            refused = (
                f"{self._graph.name}: parity gate: the engine of {identity.runtime} shares {100 * share:.2f} % of its "
                f"decisions with ONNX Runtime, less than {100 * least:.1f} %; it is deleted"
            )
        plan = "" if refused else hashlib.sha256(built.plan).hexdigest()
        size = 0 if refused else len(built.plan)
        bundle, file = self._graph.bundle, self._graph.file
        return Record(identity, bundle, file, now(), built.seconds, plan, size, share, len(frames), refused)

    def _load(self, plan: bytes) -> Executor:
        executor = Executor(self._trt, plan, self._device, name=self._graph.name)
        if executor.note and executor.note not in self._told:
            self._told.add(executor.note)
            self._say(f"{self._graph.name}: {executor.note}")
        return executor

    def _identity(self, shapes: Shapes) -> Identity:
        major, minor = self._device.capability
        return Identity(
            model=self._digest,
            shapes=", ".join(f"{name} {shape_text(shape)}" for name, shape in shapes),
            runtime=self._title,
            gpu=self._device.name,
            capability=f"{major}.{minor}",
            processors=self._device.processors,
            plugins=self._plugins.digest if self._plugins is not None else "",
            options=OPTIONS,
        )


def import_runtime(flavour: Flavour) -> Any:
    """The runtime's module.

    Raises:
        EngineAbsentError: it is not installed, does not load, or is too old.
    """
    try:
        module = importlib.import_module(flavour.module)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == flavour.module
        reason = "is not installed" if absent else f"does not load ({error})"
        raise EngineAbsentError(f"{flavour.title} {reason}") from None
    version = tuple(int(part) for part in str(module.__version__).split(".")[:2])
    if version < flavour.oldest:
        oldest = ".".join(map(str, flavour.oldest))
        raise EngineAbsentError(f"{flavour.title} {module.__version__} is older than {oldest}")
    return module


def _percent(say: Callable[[str], None], name: str) -> Callable[[float], None]:
    """A line at every tenth."""
    told = 0

    def progress(share: float) -> None:
        nonlocal told
        if int(10 * share) > told:
            told = int(10 * share)
            say(f"{name}: building, {10 * told} %")

    return progress
