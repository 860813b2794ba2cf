"""TensorRT's Python interface, as far as we use it, on the fake driver; ONNX Runtime does the arithmetic.

A plan carries its version and GPU and loads nowhere else. Networks must be strongly typed and static. An execution
context allocates when it first runs, and therefore cannot be recorded before.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
from fake_cuda import Fault, Machine


class Severity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2


class DataType(Enum):
    FLOAT = np.float32
    UINT8 = np.uint8
    INT64 = np.int64
    HALF = np.float16


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class FakeTensorRT(ModuleType):
    """The module.

    Attributes:
        parsed: graphs that the parser was given.
        builds: how many engines were built.
        wrong: an amount that outputs are off by, for the gate.
        unrecordable: whether enqueueing fails while recording.
    """

    def __init__(self, machine: Machine, version: str = "10.3.0") -> None:
        super().__init__("tensorrt")
        self.__version__ = version
        self.machine = machine
        self.parsed: list[bytes] = []
        self.builds = 0
        self.wrong = 0
        self.unrecordable = False
        self.timings: list[bytes] = []
        self.on_build: Any = None
        module = self

        class ILogger:
            Severity = Severity

            def log(self, severity: Severity, msg: str) -> None:
                raise NotImplementedError

        class IProgressMonitor:
            pass

        class ParserError:
            def __init__(self, text: str) -> None:
                self.text = text

            def desc(self) -> str:
                return self.text

            def node_name(self) -> str:
                return "node"

            def node_operator(self) -> str:
                return "Op"

        class Network:
            graph: bytes | None = None

        class OnnxParser:
            def __init__(self, network: Network, logger: ILogger) -> None:
                self.network, self.logger = network, logger
                self.num_errors = 0

            def parse(self, model: bytes) -> bool:
                module.parsed.append(model)
                try:
                    session = _session(model)
                except Exception as error:
                    self.error, self.num_errors = ParserError(str(error)), 1
                    return False
                if any(not isinstance(side, int) for i in session.get_inputs() for side in i.shape):
                    raise Fault("a side is free")
                self.network.graph = model
                return True

            def get_error(self, index: int) -> ParserError:
                return self.error

        class TimingCache:
            def __init__(self, content: bytes) -> None:
                self.content = content

            def serialize(self) -> bytes:
                return self.content + b"+"

        class Config:
            progress_monitor: Any = None
            flags_cleared: tuple[str, ...] = ()
            cache: TimingCache | None = None

            def clear_flag(self, flag: str) -> None:
                self.flags_cleared += (flag,)

            def create_timing_cache(self, content: bytes) -> TimingCache | None:
                return None if content.startswith(b"damaged") else TimingCache(content)

            def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
                assert ignore_mismatch is False
                self.cache = cache
                return True

            def get_timing_cache(self) -> TimingCache:
                assert self.cache is not None
                return self.cache

        class Builder:
            def __init__(self, logger: ILogger) -> None:
                assert isinstance(logger, ILogger)

            def create_network(self, flags: int) -> Network:
                assert flags == 1 << 1, "strongly typed"
                return Network()

            def create_builder_config(self) -> Config:
                return Config()

            def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
                if module.fails("build_serialized_network"):
                    return None
                assert network.graph is not None
                assert "TF32" in config.flags_cleared
                module.timings.append(config.cache.content if config.cache else b"")
                monitor = config.progress_monitor
                monitor.phase_start("Building", None, 4)
                monitor.phase_start("Tactics", "Building", 100)
                if module.on_build is not None:
                    module.on_build()
                monitor.step_complete("Tactics", 99)
                monitor.phase_finish("Tactics")
                for step in range(4):
                    if not monitor.step_complete("Building", step):
                        return None
                monitor.phase_finish("Building")
                module.builds += 1
                return module.header() + network.graph

        class Runtime(Counted):
            kind, of = "runtime", machine

            def __init__(self, logger: ILogger) -> None:
                super().__init__()
                self.logger = logger

            def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
                if module.fails("deserialize_cuda_engine"):
                    self.logger.log(Severity.ERROR, "Cuda Runtime (out of memory)")
                    return None
                if not plan.startswith(module.header()):
                    self.logger.log(Severity.ERROR, "Serialization assertion failed: Version tag does not match")
                    return None
                return Engine(self, plan[len(module.header()) :])

        class Engine(Counted):
            kind, of = "engine", machine

            def __init__(self, runtime: Runtime, model: bytes) -> None:
                super().__init__()
                self.runtime, self.session = runtime, _session(model)
                self.input_names = [i.name for i in self.session.get_inputs()]
                values = [*self.session.get_inputs(), *self.session.get_outputs()]
                sample = {i.name: np.zeros(i.shape, _dtype(i.type)) for i in self.session.get_inputs()}
                found = self.session.run(None, sample)
                self.tensors = {v.name: v for v in values}
                self.shapes = {k: v.shape for k, v in sample.items()}
                self.shapes |= {o.name: f.shape for o, f in zip(self.session.get_outputs(), found, strict=True)}
                self.num_io_tensors = len(values)

            def get_tensor_name(self, index: int) -> str:
                return list(self.tensors)[index]

            def get_tensor_shape(self, name: str) -> tuple[int, ...]:
                return self.shapes[name]

            def get_tensor_dtype(self, name: str) -> DataType:
                return DataType(_dtype(self.tensors[name].type))

            def get_tensor_mode(self, name: str) -> str:
                return "INPUT" if name in self.input_names else "OUTPUT"

            def create_execution_context(self) -> Execution | None:
                return None if module.fails("create_execution_context") else Execution(self)

        class Execution(Counted):
            kind, of = "execution context", machine

            def __init__(self, engine: Engine) -> None:
                super().__init__()
                self.engine, self.addresses, self.ran = engine, dict[str, int](), False

            def set_tensor_address(self, name: str, memory: int) -> bool:
                assert isinstance(memory, int)
                self.addresses[name] = memory
                return name in self.engine.tensors and not module.fails("set_tensor_address")

            def execute_async_v3(self, stream_handle: int) -> bool:
                if module.fails("execute_async_v3", captured=True):
                    return False
                recording = machine.recording is not None
                if recording and (module.unrecordable or not self.ran):
                    machine.recording_broken = True
                    return False
                self.ran = True
                assert set(self.addresses) == set(self.engine.tensors), "every address before the first run"
                addresses, engine = dict(self.addresses), self.engine

                def run() -> None:
                    inputs = {n: _as(machine.region(addresses[n]), engine, n) for n in engine.input_names}
                    names = [o.name for o in engine.session.get_outputs()]
                    for name, value in zip(names, engine.session.run(names, inputs), strict=True):
                        changed = (value + module.wrong).astype(value.dtype)
                        machine.region(addresses[name])[: value.nbytes] = changed.reshape(-1).view(np.uint8)

                machine.push(stream_handle, "compute", run)
                return True

        class Creator:
            def __init__(self, name: str, version: str, namespace: str) -> None:
                self.name, self.plugin_version, self.plugin_namespace = name, version, namespace

        class Registry:
            all_creators = (Creator("MultiscaleDeformableAttnPlugin_TRT", "1", ""),)

            def load_library(self, path: str) -> object:
                self.all_creators = (*self.all_creators, Creator("MaskedAttention", "1", "rsseg"))
                return object()

        registry = Registry()

        class Names:
            STRONGLY_TYPED, TF32, INPUT = 1, "TF32", "INPUT"

        self.__dict__.update(
            ILogger=ILogger, IProgressMonitor=IProgressMonitor, OnnxParser=OnnxParser, Builder=Builder, Runtime=Runtime,
            NetworkDefinitionCreationFlag=Names, BuilderFlag=Names, TensorIOMode=Names,
            init_libnvinfer_plugins=lambda logger, namespace: True, get_plugin_registry=lambda: registry,
        )  # fmt: skip

    def fails(self, call: str, *, captured: bool = False) -> bool:
        """TensorRT raises nothing: a call that fails gives None or False."""
        try:
            self.machine.call(call, captured=captured)
        except self.machine.driver.Error:
            return True
        return False

    def header(self) -> bytes:
        return f"PLAN of TensorRT {self.__version__} for Orin\n".encode()


class Counted:
    """Counted while it lives."""

    kind: str
    of: Machine

    def __init__(self) -> None:
        self.of.live[self.kind] += 1

    def __del__(self) -> None:
        self.of.live[self.kind] -= 1
        if not getattr(self.of.contexts, "stack", None):
            self.of.live[f"{self.kind} destroyed without a context"] += 1


def _dtype(name: str) -> Any:
    kinds = {"float": np.float32, "uint8": np.uint8, "int64": np.int64, "float16": np.float16}
    return kinds[name.removeprefix("tensor(").removesuffix(")")]


def _as(memory: np.ndarray, engine: Any, name: str) -> np.ndarray:
    dtype, shape = np.dtype(_dtype(engine.tensors[name].type)), engine.shapes[name]
    return memory[: int(np.prod(shape)) * dtype.itemsize].view(dtype).reshape(shape)
