"""The little of CUDA that engines need, by pycuda: a device, its streams and events, and buffers on both sides.

pycuda makes a context current for one thread at a time, and frees what was made under a context only while that is
current. Every use of this module therefore lies inside ``with device:``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import RssegError

NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, which pycuda has no name for: the stream does not wait for the default stream, nor it for
this one, so that another library's work there does not run in turn with ours."""


class Device:
    """A GPU and its primary context, which TensorRT and every other library of the process shares.

    Args:
        index: which GPU.

    Attributes:
        driver: the module ``pycuda.driver``.
        name: of the GPU.
        capability: compute capability, for instance (8, 7).
        processors: number of multiprocessors.
        integrated: whether the GPU works in the host's memory.

    Raises:
        RssegError: there is no such GPU, or no driver. The message is the reason alone.
    """

    def __init__(self, index: int = 0) -> None:
        try:
            import pycuda.driver as driver
        except ImportError as error:  # absent, or without libcuda.so.1
            raise RssegError(f"pycuda cannot be used ({_first_line(error)})") from None
        self.driver = driver
        try:
            driver.init()
            if driver.Device.count() <= index:
                raise RssegError("there is no NVIDIA GPU")
            device = driver.Device(index)
            self.name = str(device.name())
            self.capability: tuple[int, int] = tuple(device.compute_capability())
            self.processors = int(device.get_attribute(driver.device_attribute.MULTIPROCESSOR_COUNT))
            self.integrated = bool(device.get_attribute(driver.device_attribute.INTEGRATED))
            self._context: Any = device.retain_primary_context()
        except driver.Error as error:
            raise RssegError(f"CUDA: {_first_line(error)}") from None

    def __enter__(self) -> Device:
        self._context.push()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.pop()

    def stream(self) -> Any:
        """A stream of its own, see :data:`NON_BLOCKING`."""
        return self.driver.Stream(NON_BLOCKING)

    def event(self) -> Any:
        """An event whose waiter sleeps: a thread that spins takes its core from the codecs, and a battery feels it."""
        flags = self.driver.event_flags
        return self.driver.Event(flags.BLOCKING_SYNC | flags.DISABLE_TIMING)

    def close(self) -> None:
        """Give the context back; it goes when the last library of the process has done so."""
        context, self._context = self._context, None
        if context is not None:
            context.detach()


class Buffer:
    """One tensor in pinned host memory and on the device; on an integrated GPU both are the same memory.

    Args:
        device: current.
        shape: of the tensor.
        dtype: of the tensor.

    Attributes:
        host: the tensor, C-contiguous, in memory that the GPU copies from and to by itself.
        address: of the tensor, as the device sees it.
    """

    def __init__(self, device: Device, shape: Sequence[int], dtype: npt.DTypeLike) -> None:
        driver = device.driver
        size = max(1, math.prod(shape) * np.dtype(dtype).itemsize)
        flags = driver.host_alloc_flags.DEVICEMAP if device.integrated else 0
        pinned = driver.pagelocked_empty(size, np.uint8, mem_flags=flags)
        self._pinned: Any = pinned.base
        self._block: Any = None
        try:
            if device.integrated:
                self.address = int(self._pinned.get_device_pointer())
            else:
                self._block = driver.mem_alloc(size)
                self.address = int(self._block)
        except driver.Error:
            self._pinned.free()
            raise
        self._driver = driver
        count = math.prod(shape) * np.dtype(dtype).itemsize
        self.host: npt.NDArray[Any] = pinned[:count].view(dtype).reshape(tuple(shape))

    def upload(self, stream: Any) -> None:
        """Enqueue the copy to the device; nothing to do where the memory is shared."""
        if self._block is not None:
            self._driver.memcpy_htod_async(self.address, self.host, stream)

    def download(self, stream: Any) -> None:
        """Enqueue the copy from the device."""
        if self._block is not None:
            self._driver.memcpy_dtoh_async(self.host, self.address, stream)

    def free(self) -> None:
        """Return both sides' memory. The stream that used it must be idle."""
        block, pinned = self._block, self._pinned
        self._block = self._pinned = None
        self.host = np.empty(0, self.host.dtype)
        if block is not None:
            block.free()
        if pinned is not None:
            pinned.free()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
