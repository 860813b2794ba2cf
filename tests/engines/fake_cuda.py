"""A CUDA driver in Python that is as late as CUDA may be, and that notices what a real one would only suffer.

Work is queued and runs when somebody waits for it, streams in an order that a seed decides. Memory is checked whenever
it is touched, the current context at every call, recording by the driver's rules. Names and argument orders are those
of pycuda 2026.1 and of the driver's C interface.
"""

from __future__ import annotations

import ctypes
import random
import threading
from collections import Counter, deque
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np


class Fault(Exception):
    """What the fake driver found wrong; a test never expects it."""


class Machine:
    """One GPU.

    Args:
        seed: order in which streams get on.
        integrated: whether the GPU works in host memory.
        fail_at: index of the call that fails.
    """

    def __init__(self, seed: int = 0, *, integrated: bool = False, fail_at: int | None = None) -> None:
        self.random = random.Random(seed)
        self.integrated = integrated
        self.fail_at = fail_at
        self.calls: list[str] = []
        self.ran: list[str] = []
        self.memory: dict[int, np.ndarray] = {}  # address: uint8, device and mapped host
        self.live: Counter[str] = Counter()
        self.queues: dict[int, deque[tuple[str, Callable[[], bool], Callable[[], None]]]] = {}
        self.recording: dict[int, list] | None = None
        self.recording_broken = False
        self.graphs: dict[int, Any] = {}
        self.contexts = threading.local()
        self.lock = threading.RLock()
        self._handles = iter(range(4096, 1 << 40, 256))
        self.driver = self._module()
        self.libcuda = LibCuda(self)

    # what every call goes through

    def call(self, name: str, *, captured: bool = False) -> None:
        if not getattr(self.contexts, "stack", None):
            raise Fault(f"{name} without a current context")
        if self.recording is not None and not captured:
            self.recording_broken = True
            raise self.driver.Error(f"{name}: operation not permitted when stream is capturing")
        self.calls.append(name)
        if self.fail_at is not None and len(self.calls) - 1 == self.fail_at:
            raise self.driver.Error(f"{name} failed: injected")

    def handle(self) -> int:
        return next(self._handles)

    def region(self, address: int) -> np.ndarray:
        if address not in self.memory:
            raise Fault(f"address {address} is not allocated (any more)")
        return self.memory[address]

    # streams

    def push(self, stream: int, what: str, run: Callable[[], None], ready: Callable[[], bool] = lambda: True) -> None:
        if stream not in self.queues:
            raise Fault(f"{what} on the default stream, or on one that is gone")
        if self.recording is not None and stream in self.recording:
            self.recording[stream].append((what, run))
        else:
            self.queues[stream].append((what, ready, run))

    def run_until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            runnable = [s for s, queue in self.queues.items() if queue and queue[0][1]()]
            if not runnable:
                raise Fault("streams wait for each other")
            what, _, run = self.queues[self.random.choice(runnable)].popleft()
            self.ran.append(what)
            run()

    def leaks(self) -> dict[str, int]:
        return {what: count for what, count in self.live.items() if count}

    def _module(self) -> ModuleType:
        machine = self
        driver = ModuleType("pycuda.driver")

        class Error(Exception):
            pass

        class Live:
            """Counted while it lives; destroyed only under a current context."""

            kind = "object"

            def __init__(self, call: str) -> None:
                machine.call(call)
                machine.live[self.kind] += 1
                self._alive = True

            def _end(self) -> None:
                if self._alive:
                    self._alive = False
                    machine.live[self.kind] -= 1
                    if not getattr(machine.contexts, "stack", None):
                        machine.live[f"{self.kind} destroyed without a context"] += 1

            def __del__(self) -> None:
                if getattr(self, "_alive", False):
                    self._end()

        class Context:
            def push(self) -> None:
                machine.contexts.__dict__.setdefault("stack", []).append(self)

            @staticmethod
            def pop() -> None:
                machine.contexts.stack.pop()

            def detach(self) -> None:
                machine.live["context"] -= 1

        class Device:
            def __init__(self, index: int) -> None:
                assert index == 0

            @staticmethod
            def count() -> int:
                return 1

            def name(self) -> str:
                return "Orin"

            def compute_capability(self) -> tuple[int, int]:
                return (8, 7)

            def get_attribute(self, attribute: str) -> int:
                return {"MULTIPROCESSOR_COUNT": 16, "INTEGRATED": int(machine.integrated)}[attribute]

            def retain_primary_context(self) -> Context:
                machine.live["context"] += 1
                return Context()

        class Stream(Live):
            kind = "stream"

            def __init__(self, flags: int = 0) -> None:
                assert flags == 1, "a stream that waits for the default stream"
                super().__init__("Stream")
                self.handle = machine.handle()
                machine.queues[self.handle] = deque()

            def synchronize(self) -> None:
                machine.call("Stream.synchronize")
                machine.run_until(lambda: not machine.queues[self.handle])

            def wait_for_event(self, event: Event) -> None:
                machine.call("Stream.wait_for_event")
                version = event.recorded
                machine.push(self.handle, "wait", lambda: None, lambda: event.reached >= version)

            def _end(self) -> None:
                if machine.queues.pop(self.handle):
                    machine.live["work lost with its stream"] += 1
                super()._end()

        class Event(Live):
            kind = "event"

            def __init__(self, flags: int) -> None:
                assert flags == 3, "an event that spins or keeps time"
                super().__init__("Event")
                self.recorded = self.reached = 0

            def record(self, stream: Stream) -> Event:
                machine.call("Event.record")
                self.recorded += 1
                version = self.recorded
                machine.push(stream.handle, "record", lambda: setattr(self, "reached", version))
                return self

            def synchronize(self) -> Event:
                machine.call("Event.synchronize")
                with machine.lock:
                    machine.run_until(lambda: self.reached >= self.recorded)
                return self

        class Block(Live):
            kind = "device memory"

            def __init__(self, size: int) -> None:
                super().__init__("mem_alloc")
                self.address = machine.handle()
                machine.memory[self.address] = np.full(size, 0xCD, np.uint8)

            def __int__(self) -> int:
                return self.address

            def free(self) -> None:
                self._end()

            def _end(self) -> None:
                if self._alive:
                    del machine.memory[self.address]
                super()._end()

        class Pinned(Live):
            kind = "pinned memory"

            def __init__(self, size: int, flags: int) -> None:
                super().__init__("pagelocked_empty")
                self.data = np.full(size, 0xAB, np.uint8)
                self.flags = flags
                self.address: int | None = None

            def get_device_pointer(self) -> int:
                machine.call("get_device_pointer")
                if self.flags != 2:
                    raise Fault("memory that was not allocated as mapped has no device pointer")
                self.address = machine.handle()
                machine.memory[self.address] = self.data
                return self.address

            def free(self) -> None:
                self._end()

            def _end(self) -> None:
                if self._alive and self.address is not None:
                    del machine.memory[self.address]
                super()._end()

        class Based:
            """An array whose ``base`` is the allocation, as pycuda's is."""

            def __init__(self, pinned: Pinned, dtype: Any) -> None:
                self.base, self._dtype = pinned, dtype

            def __getitem__(self, key: Any) -> np.ndarray:
                return self.base.data.view(self._dtype)[key]

        def pagelocked_empty(shape: int, dtype: Any, order: str = "C", mem_flags: int = 0) -> Based:
            return Based(Pinned(int(shape) * np.dtype(dtype).itemsize, mem_flags), dtype)

        def memcpy_htod_async(dest: int, src: np.ndarray, stream: Stream) -> None:
            machine.call("memcpy_htod_async")
            assert src.flags.c_contiguous
            where = int(dest)

            def run() -> None:
                machine.region(where)[: src.nbytes] = src.reshape(-1).view(np.uint8)

            machine.push(stream.handle, "up", run)

        def memcpy_dtoh_async(dest: np.ndarray, src: int, stream: Stream) -> None:
            machine.call("memcpy_dtoh_async")
            where = int(src)

            def run() -> None:
                dest.reshape(-1).view(np.uint8)[:] = machine.region(where)[: dest.nbytes]

            machine.push(stream.handle, "down", run)

        def init() -> None:
            pass

        class Flags:
            DEVICEMAP = 2
            BLOCKING_SYNC, DISABLE_TIMING = 1, 2
            MULTIPROCESSOR_COUNT, INTEGRATED = "MULTIPROCESSOR_COUNT", "INTEGRATED"

        driver.__dict__.update(
            Error=Error, Context=Context, Device=Device, Stream=Stream, Event=Event, init=init, mem_alloc=Block,
            pagelocked_empty=pagelocked_empty, memcpy_htod_async=memcpy_htod_async, memcpy_dtoh_async=memcpy_dtoh_async,
            host_alloc_flags=Flags, event_flags=Flags, device_attribute=Flags,
        )  # fmt: skip
        return driver


class LibCuda:
    """The calls of libcuda.so.1 that recording takes, as ctypes makes them; 0 is success."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def _call(self, name: str) -> int:
        try:
            self.machine.call(name, captured=True)
        except self.machine.driver.Error:
            return 999
        return 0

    def cuStreamBeginCapture_v2(self, stream: ctypes.c_void_p, mode: int) -> int:
        assert mode == 1
        code = self._call("cuStreamBeginCapture")
        if not code:
            if self.machine.queues[stream.value]:
                raise Fault("recording begins on a stream with work on it")
            self.machine.recording, self.machine.recording_broken = {stream.value: []}, False
        return code

    def cuStreamEndCapture(self, stream: ctypes.c_void_p, graph: Any) -> int:
        code = self._call("cuStreamEndCapture")
        recording, self.machine.recording = self.machine.recording, None
        if code or self.machine.recording_broken:
            return code or 901
        handle = self.machine.handle()
        self.machine.graphs[handle] = recording[stream.value]
        self.machine.live["graph"] += 1
        graph._obj.value = handle
        return 0

    def cuGraphInstantiateWithFlags(self, executable: Any, graph: ctypes.c_void_p, flags: ctypes.c_ulonglong) -> int:
        assert flags.value == 0
        code = self._call("cuGraphInstantiate")
        if not code:
            handle = self.machine.handle()
            self.machine.graphs[handle] = list(self.machine.graphs[graph.value])
            self.machine.live["executable graph"] += 1
            executable._obj.value = handle
        return code

    def cuGraphLaunch(self, executable: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:
        code = self._call("cuGraphLaunch")
        if not code:
            for what, run in self.machine.graphs[executable.value]:
                self.machine.push(stream.value, what, run)
        return code

    def cuGraphDestroy(self, graph: ctypes.c_void_p) -> int:
        del self.machine.graphs[graph.value]
        self.machine.live["graph"] -= 1
        return 0

    def cuGraphExecDestroy(self, executable: ctypes.c_void_p) -> int:
        del self.machine.graphs[executable.value]
        self.machine.live["executable graph"] -= 1
        return 0

    def cuGetErrorName(self, code: int, text: Any) -> int:
        text._obj.value = {901: b"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"}.get(code, b"CUDA_ERROR_UNKNOWN")
        return 0
