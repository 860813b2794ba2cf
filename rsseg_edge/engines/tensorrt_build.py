"""From an ONNX file to an engine, by TensorRT 10.3 to 11.4 and TensorRT-RTX alike.

Precision lies in the graph: networks are strongly typed, and no builder flag names a precision. Sides are fixed before
parsing, so that plugins and CUDA graphs see nothing dynamic and no optimisation profile is needed.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rsseg_edge.engines.onnx_file import fix_shapes, read_signature
from rsseg_edge.engines.onnx_for_tensorrt import DEFORMABLE, STOCK_DEFORMABLE, use_plugins, widen_bytes
from rsseg_edge.errors import RssegError
from rsseg_edge.kernels.registry import DOMAIN

# TF32 would round the products of an fp32 graph to ten bits; a graph that may be rounded is an fp16 one.
OPTIONS = "strongly typed, no TF32"


class BuildRefusedError(RssegError):
    """The builder does not take the graph, or its engine does not compute what the graph says."""


@dataclass(frozen=True)
class Built:
    """A serialised engine.

    Attributes:
        plan: its bytes.
        timings: the builder's timing cache after the build; empty where it gives none.
        seconds: that the build took.
    """

    plan: bytes
    timings: bytes
    seconds: float


@dataclass(frozen=True)
class Plugins:
    """Operators that run as plugins.

    Attributes:
        operators: names of ours with a creator in the registry.
        deformable: version of TensorRT's own deformable attention; None where the graph needs or TensorRT has none.
        digest: SHA-256 of our library; empty where none of its plugins is used.
    """

    operators: tuple[str, ...] = ()
    deformable: str | None = None
    digest: str = ""


class Log:
    """TensorRT's messages: errors are kept for whoever has to explain a failure, the rest is dropped.

    TensorRT takes the first logger of a process for all of its parts, hence one for each module: :func:`log_of`.
    """

    def __init__(self, trt: Any) -> None:
        errors: deque[str] = deque(maxlen=50)

        class Sink(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, msg: str) -> None:
                if int(severity) <= int(trt.ILogger.Severity.ERROR):
                    errors.append(msg)

        self.native = Sink()
        self._errors = errors

    def take(self) -> str:
        """The first error since the last call, in one line; a builder's later ones follow from it."""
        found = [" ".join(message.split()) for message in self._errors]
        self._errors.clear()
        return found[0][:400] if found else "TensorRT gives no reason"


@lru_cache(maxsize=4)
def log_of(trt: Any) -> Log:
    """The logger of ``tensorrt`` or ``tensorrt_rtx``."""
    return Log(trt)


def find_plugins(trt: Any, model: bytes, library: Path | None) -> Plugins:
    """Load our plugin library, if the graph calls operators of ours, and see which of them it has.

    Raises:
        BuildRefusedError: the library does not load.
    """
    operators = read_signature(model).operators
    if not operators:
        return Plugins()
    log = log_of(trt)
    trt.init_libnvinfer_plugins(log.native, "")
    registry = trt.get_plugin_registry()
    known = _creators(registry)
    if library is not None and not any(namespace == DOMAIN for _, _, namespace in known):
        if registry.load_library(str(library)) is None:
            raise BuildRefusedError(f"{library}: TensorRT does not load it ({log.take()}); build the package again")
        known = _creators(registry)
    ours = tuple(sorted(op for op in operators if (op, "1", DOMAIN) in known))
    # Version 2, an IPluginV3, came with 10.11; version 1 is of an interface that TensorRT is about to drop.
    versions = [v for v in ("2", "1") if any(name == STOCK_DEFORMABLE and v == version for name, version, _ in known)]
    deformable = versions[0] if versions and DEFORMABLE in operators and DEFORMABLE not in ours else None
    digest = hashlib.sha256(library.read_bytes()).hexdigest() if ours and library is not None else ""
    return Plugins(ours, deformable, digest)


def build(
    trt: Any,
    model: bytes,
    shapes: Mapping[str, Sequence[int]],
    *,
    name: str,
    plugins: Plugins | None = None,
    timings: bytes = b"",
    capabilities: Sequence[tuple[int, int]] = (),
    progress: Callable[[float], None] | None = None,
) -> Built:
    """Build an engine.

    Args:
        trt: the module ``tensorrt`` or ``tensorrt_rtx``.
        model: the bundle's ONNX file.
        shapes: of all inputs.
        name: what error messages call the model.
        plugins: see :func:`find_plugins`; None runs every operator by its body.
        timings: an earlier build's timing cache on the same GPU.
        capabilities: GPUs to build for without one of them at hand; TensorRT-RTX alone can.
        progress: told the share done, 0..1, now and then, from whichever thread builds.

    Raises:
        BuildRefusedError: TensorRT does not take the graph; the message is its own.
        KeyboardInterrupt: came while it was building.
    """
    log = log_of(trt)
    log.take()
    begin = time.perf_counter()
    plugins = plugins or Plugins()
    graph = fix_shapes(widen_bytes(model), shapes)
    graph = use_plugins(graph, plugins.operators, stock_deformable=plugins.deformable)
    builder = trt.Builder(log.native)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log.native)
    if not parser.parse(graph) or parser.num_errors:
        found = "; ".join(map(_told, (parser.get_error(i) for i in range(min(3, parser.num_errors)))))
        raise BuildRefusedError(f"{name}: {_title(trt)} does not take the graph: {found or log.take()}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    if capabilities:
        config.num_compute_capabilities = len(capabilities)
        for index, (major, minor) in enumerate(capabilities):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{major}{minor}"), index)
    cache = None if capabilities else _timing_cache(config, timings)
    monitor = _monitor(trt, progress)
    config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if monitor.stopped is not None:
        raise monitor.stopped
    if plan is None:
        raise BuildRefusedError(f"{name}: {_title(trt)} does not build the graph: {log.take()}")
    measured = bytes(memoryview(config.get_timing_cache().serialize())) if cache is not None else b""
    return Built(bytes(memoryview(plan)), measured, time.perf_counter() - begin)


def _creators(registry: Any) -> set[tuple[str, str, str]]:
    return {(creator.name, creator.plugin_version, creator.plugin_namespace) for creator in registry.all_creators}


def _timing_cache(config: Any, timings: bytes) -> Any:
    """Give the builder the earlier timings, or an empty cache where they are of another TensorRT or damaged."""
    for content in (timings, b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None


def _monitor(trt: Any, progress: Callable[[float], None] | None) -> Any:
    """Progress as one share: phases lie within phases, and only the outermost counts."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stopped: BaseException | None = None
            self._steps: dict[str, tuple[str | None, int]] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = (parent_phase, num_steps)

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            # Nothing may be raised through the builder: it is C++ without a handler on the way.
            try:
                parent, steps = self._steps.get(phase_name, ("", 0))
                if progress is not None and parent is None and steps:
                    progress(min(1.0, step / steps))
            except BaseException as error:
                self.stopped = error
            return self.stopped is None

    return Monitor()


def _told(finding: Any) -> str:
    return " ".join(f"{finding.node_name()} ({finding.node_operator()}): {finding.desc()}".split())[:300]


def _title(trt: Any) -> str:
    return f"{'TensorRT-RTX' if trt.__name__ == 'tensorrt_rtx' else 'TensorRT'} {trt.__version__}"
