"""A stream's work recorded once and started by one call: CUDA graphs, by the driver itself, since pycuda lacks them.

A replay costs some microseconds where a network of hundreds of kernels costs fifty or more to launch. What may be
recorded: work on a stream of its own, at fixed addresses and shapes, that has run once before (runtimes load kernels
and allocate when they first run, which is forbidden while recording), and that waits for nothing on the host.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

_THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do with CUDA meanwhile does not spoil the recording."""


class UncapturableError(Exception):
    """The work cannot be recorded; the message says why. The stream is usable again."""


class Graph:
    """Work that :meth:`launch` starts.

    Args:
        stream: handle of a stream that is not the default one, idle, current in this thread.
        work: enqueues on that stream; False where it was refused.
        driver: the driver's library; None opens the system's.

    Raises:
        UncapturableError: the work was refused, or broke a rule of recording.
    """

    def __init__(self, stream: int, work: Callable[[], bool], driver: Any = None) -> None:
        if stream in (0, 1, 2):  # null, legacy and per-thread default
            raise UncapturableError("the default stream cannot be recorded")
        try:
            self._driver = driver if driver is not None else ctypes.CDLL("libcuda.so.1")
        except OSError:
            raise UncapturableError("no CUDA driver (libcuda.so.1)") from None
        self._stream = ctypes.c_void_p(stream)
        self._executable: ctypes.c_void_p | None = None
        self._check("cuStreamBeginCapture_v2", self._stream, _THREAD_LOCAL)
        graph = ctypes.c_void_p()
        try:
            accepted = work()
        finally:  # a stream left recording would be lost
            code = self._driver.cuStreamEndCapture(self._stream, ctypes.byref(graph))
        try:
            if code:
                raise UncapturableError(f"cuStreamEndCapture: {self._name(code)}")
            if not accepted:
                raise UncapturableError("the runtime does not enqueue it while recording")
            executable = ctypes.c_void_p()
            # The third argument is 64 bits of flags, none of which we need.
            self._check("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
            self._executable = executable
        finally:
            if graph:
                self._driver.cuGraphDestroy(graph)

    def launch(self) -> int:
        """Start the work on its stream; 0, or the driver's error code."""
        return int(self._driver.cuGraphLaunch(self._executable, self._stream))

    def free(self) -> None:
        """Drop the recording. The stream must be idle."""
        executable, self._executable = self._executable, None
        if executable is not None:
            self._driver.cuGraphExecDestroy(executable)

    def _check(self, call: str, *arguments: Any) -> None:
        code = getattr(self._driver, call)(*arguments)
        if code:
            raise UncapturableError(f"{call}: {self._name(code)}")

    def _name(self, code: int) -> str:
        text = ctypes.c_char_p()
        self._driver.cuGetErrorName(code, ctypes.byref(text))
        return text.value.decode() if text.value else f"error {code}"
