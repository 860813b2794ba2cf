"""Runs a built engine on the GPU: two frames on their way at once, outputs that stay the caller's.

A frame has a slot: a stream, an execution context, buffers at fixed addresses, and, where it can be recorded, a CUDA
graph. While one slot computes, the other's input goes up and its output comes down. Computing itself is in turn: two
networks on one GPU at once take longer than one after the other, and the frames would come out of step.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.engines.base import Arrays, Pending
from rsseg_edge.engines.cuda import Buffer, Device
from rsseg_edge.engines.cuda_graph import Graph, UncapturableError
from rsseg_edge.engines.onnx_file import shape_text
from rsseg_edge.engines.tensorrt_build import log_of
from rsseg_edge.errors import RssegError

_DTYPES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
    "UINT8": np.uint8,
}


class PlanRefusedError(RssegError):
    """The runtime does not load a serialised engine: it is damaged, or of another GPU or version."""


class Executor:
    """A loaded engine.

    Args:
        trt: the module ``tensorrt`` or ``tensorrt_rtx``.
        plan: the serialised engine; all its sides are fixed.
        device: the GPU.
        name: what error messages call the model.
        slots: frames on their way at once. Each takes the engine's working memory.
        graphs: record a CUDA graph for each slot where that is possible.
        driver: the CUDA driver's library, for the graphs; None opens the system's.

    Attributes:
        note: why no CUDA graph is used or fewer slots than asked for; empty where all is as it should be.

    Raises:
        PlanRefusedError: the runtime does not load the plan.
        RssegError: the GPU's memory does not hold it, or it does not run. Nothing is kept then.
    """

    def __init__(
        self,
        trt: Any,
        plan: bytes,
        device: Device,
        *,
        name: str,
        slots: int = 2,
        graphs: bool = True,
        driver: Any = None,
    ) -> None:
        self._trt, self._device, self._name = trt, device, name
        self.note = ""
        self._slots: list[_Slot] = []
        self._next = 0
        with self._current(), ExitStack() as undo:
            undo.callback(self._release)
            self._runtime = trt.Runtime(log_of(trt).native)
            log_of(trt).take()
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise PlanRefusedError(f"{name}: the engine does not load: {log_of(trt).take()}")
            tensors = _tensors(trt, self._engine, name)
            self.inputs: dict[str, Any] = {n: spec for n, (is_input, *spec) in tensors.items() if is_input}
            self.outputs = tuple(n for n, (is_input, *_) in tensors.items() if not is_input)
            self._open_slots(tensors, slots)
            if graphs:
                self._record(driver)
            undo.pop_all()

    def start(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> Pending:
        """Send a frame off; the result is waited for where it is needed. Called by one thread at a time.

        Where every slot is taken by a frame whose result nobody has fetched, the oldest is fetched first and kept for
        its owner.

        Raises:
            RssegError: an input is absent or of another type or shape, an output is unknown, or CUDA failed.
        """
        names = self.outputs if outputs is None else tuple(outputs)
        self._check(inputs, names)
        slot, before = self._slots[self._next], self._slots[self._next - 1]
        self._next = (self._next + 1) % len(self._slots)
        earlier = slot.frame
        if earlier is not None:
            earlier.fetch()
        with self._current():
            for name, value in inputs.items():
                np.copyto(slot.buffers[name].host, value)
            try:
                for name in inputs:
                    slot.buffers[name].upload(slot.stream)
                if before is not slot and before.used:
                    slot.stream.wait_for_event(before.computed)
                slot.compute(self._name, self._trt)
                slot.computed.record(slot.stream)
                slot.used = True
                for name in names:
                    slot.buffers[name].download(slot.stream)
                slot.done.record(slot.stream)
            except BaseException:
                self._settle(slot)
                raise
        frame = slot.frame = _Frame(self, slot, names)
        return frame

    def collect(self, slot: _Slot, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Wait for a slot's frame and copy its outputs out of the buffers that the next frame will use."""
        with self._current():
            slot.done.synchronize()
            return {name: slot.buffers[name].host.copy() for name in names}

    def close(self) -> None:
        """Fetch what is on its way for its owners, then return all memory, of the device and of the host."""
        if not self._slots:
            return
        for slot in self._slots:
            frame = slot.frame
            if frame is not None:
                frame.fetch()
        with self._current():
            self._release()

    def _open_slots(self, tensors: Mapping[str, tuple[bool, tuple[int, ...], np.dtype[Any]]], count: int) -> None:
        for index in range(count):
            try:
                slot = _Slot(self._engine, self._device, tensors)
            except (self._device.driver.Error, MemoryError) as error:
                if not index:
                    raise
                self.note = f"one frame at a time: the GPU's memory holds no second ({error})"
                return
            self._slots.append(slot)
            # The first run loads kernels and allocates; a frame would wait for it, a recording would not allow it.
            slot.compute(self._name, self._trt)
            slot.stream.synchronize()

    def _record(self, driver: Any) -> None:
        for slot in self._slots:
            try:
                slot.graph = Graph(slot.stream.handle, slot.enqueue, driver)
            except UncapturableError as error:
                log_of(self._trt).take()
                self.note = f"no CUDA graph: {error}"
                for other in self._slots:
                    other.drop_graph()
                return

    def _check(self, inputs: Arrays, names: Sequence[str]) -> None:
        if not self._slots:
            raise RssegError(f"{self._name}: the engine was closed")
        for name in names:
            if name not in self.outputs:
                raise RssegError(f"{self._name}: no output '{name}' (it has {', '.join(self.outputs)})")
        if inputs.keys() != self.inputs.keys():
            raise RssegError(f"{self._name}: inputs {', '.join(inputs)} given, it takes {', '.join(self.inputs)}")
        for name, (shape, dtype) in self.inputs.items():
            value = inputs[name]
            if value.shape != shape or value.dtype != dtype:
                given = f"{value.dtype} {shape_text(value.shape)}"
                raise RssegError(f"{self._name}: input {name} is {dtype} {shape_text(shape)}, not {given}")

    def _settle(self, slot: _Slot) -> None:
        """After a failure: nothing of the slot may still be copying when its buffers are used again."""
        with suppress(self._device.driver.Error):  # the failure that is being reported already
            slot.stream.synchronize()

    def _release(self) -> None:
        for slot in self._slots:
            self._settle(slot)
        slots, self._slots = self._slots, []
        with ExitStack() as rest:  # what one cannot return keeps none of the others
            rest.callback(self._drop)
            for slot in slots:
                rest.callback(slot.free)

    def _drop(self) -> None:
        self._engine = None
        self._runtime = None

    @contextmanager
    def _current(self) -> Iterator[None]:
        with self._device:
            try:
                yield
            except (self._device.driver.Error, MemoryError) as error:
                # An error holds on to what its frames held: memory of the GPU would wait for its handler.
                traceback.clear_frames(error.__traceback__)
                raise RssegError(f"{self._name}: CUDA failed: {str(error).strip() or type(error).__name__}") from None


class _Slot:
    """What one frame on its way needs; see the module."""

    def __init__(
        self, engine: Any, device: Device, tensors: Mapping[str, tuple[bool, tuple[int, ...], np.dtype[Any]]]
    ) -> None:
        self.frame: _Frame | None = None
        self.graph: Graph | None = None
        self.used = False
        self.buffers: dict[str, Buffer] = {}
        self.context: Any = None
        self.stream: Any = None
        self.done: Any = None
        self.computed: Any = None
        try:
            self.context = engine.create_execution_context()
            if self.context is None:
                raise MemoryError("no execution context")
            for name, (_, shape, dtype) in tensors.items():
                self.buffers[name] = Buffer(device, shape, dtype)
                if not self.context.set_tensor_address(name, self.buffers[name].address):
                    raise MemoryError(f"{name} takes no address")
            self.stream, self.done, self.computed = device.stream(), device.event(), device.event()
        except BaseException:
            self.free()
            raise

    def enqueue(self) -> bool:
        """Launch the network kernel by kernel; False where the runtime refuses, and then nothing ran."""
        return bool(self.context.execute_async_v3(self.stream.handle))

    def compute(self, name: str, trt: Any) -> None:
        """Launch the network. A refused launch would leave the last frame's output in place, hence the check."""
        if self.graph is not None:
            code = self.graph.launch()
            if code:
                raise RssegError(f"{name}: the CUDA graph does not start (driver error {code})")
        elif not self.enqueue():
            raise RssegError(f"{name}: the runtime does not start: {log_of(trt).take()}")

    def drop_graph(self) -> None:
        """Launch kernel by kernel from now on."""
        graph, self.graph = self.graph, None
        if graph is not None:
            graph.free()

    def free(self) -> None:
        """Return everything, in an order in which nothing refers to what is gone."""
        buffers, self.buffers = self.buffers, {}
        with ExitStack() as rest:
            rest.callback(self._drop_handles)
            for buffer in buffers.values():
                rest.callback(buffer.free)
            rest.callback(self._drop_context)
            rest.callback(self.drop_graph)

    def _drop_context(self) -> None:
        self.context = None

    def _drop_handles(self) -> None:
        self.stream = self.done = self.computed = None


class _Frame:
    """A frame on its way. :meth:`result` may be called from another thread than the one that starts frames."""

    def __init__(self, executor: Executor, slot: _Slot, names: Sequence[str]) -> None:
        self._executor, self._slot, self._names = executor, slot, tuple(names)
        self._lock = threading.Lock()
        self._outcome: dict[str, npt.NDArray[Any]] | RssegError | None = None

    def fetch(self) -> None:
        """Wait for the frame and take its outputs, or its failure, out of the slot."""
        with self._lock:
            if self._outcome is not None:
                return
            try:
                self._outcome = self._executor.collect(self._slot, self._names)
            except RssegError as error:
                self._outcome = error
            finally:
                self._slot.frame = None

    def result(self) -> dict[str, npt.NDArray[Any]]:
        """The outputs; they are the caller's and no later frame touches them.

        Raises:
            RssegError: CUDA failed on the way.
        """
        self.fetch()
        outcome = self._outcome
        assert outcome is not None, "fetch left it"
        if isinstance(outcome, RssegError):
            raise outcome
        return outcome


def _tensors(trt: Any, engine: Any, name: str) -> dict[str, tuple[bool, tuple[int, ...], np.dtype[Any]]]:
    """Inputs and outputs: whether it is an input, its shape and type."""
    found: dict[str, tuple[bool, tuple[int, ...], np.dtype[Any]]] = {}
    for index in range(engine.num_io_tensors):
        tensor = engine.get_tensor_name(index)
        shape = tuple(int(side) for side in engine.get_tensor_shape(tensor))
        kind = engine.get_tensor_dtype(tensor).name
        if kind not in _DTYPES or any(side < 0 for side in shape):
            raise PlanRefusedError(f"{name}: {tensor} is {kind} {shape_text(shape)}: sides must be fixed, types plain")
        is_input = engine.get_tensor_mode(tensor) == trt.TensorIOMode.INPUT
        found[tensor] = (is_input, shape, np.dtype(_DTYPES[kind]))
    return found
