"""Two frames on their way at once, on a driver that is as late as CUDA may be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from rsseg_edge.engines.cuda import Device
from rsseg_edge.engines.executor import Executor, PlanRefusedError
from rsseg_edge.errors import RssegError

Frames = list[dict[str, np.ndarray]]


@contextmanager
def opened(trt: Any, model: bytes, **options: Any) -> Iterator[Executor]:
    device = Device()
    try:
        executor = Executor(trt, trt.header() + model, device, name="bundle x", **options)
        try:
            yield executor
        finally:
            executor.close()
    finally:
        device.close()


def right(frame: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(found["sum"], frame["a"] + frame["b"])
    np.testing.assert_array_equal(found["b_again"], frame["b"])


@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_every_frame_gets_its_own_result_however_late_the_gpu_is(
    machine: Callable[..., Any],
    tensorrt: Callable[..., Any],
    sums: bytes,
    frames: Frames,
    integrated: bool,
    graphs: bool,
    slots: int,
    seed: int,
) -> None:
    gpu = machine(seed, integrated=integrated)
    with opened(tensorrt(gpu), sums, slots=slots, graphs=graphs) as executor:
        assert executor.note == ""
        pending = [executor.start(frame) for frame in frames]  # more than there are slots, none fetched
        for frame, one in zip(frames, pending, strict=True):
            right(frame, one.result())
        assert gpu.ran.count("up") == (0 if integrated else 2 * len(frames))
        assert gpu.calls.count("cuGraphLaunch") == (len(frames) if graphs else 0)
    assert gpu.leaks() == {}


def test_outputs_are_the_callers(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], sums: bytes, frames: Frames
) -> None:
    gpu = machine(integrated=True)
    with opened(tensorrt(gpu), sums) as executor:
        kept = [executor.start(frame).result() for frame in frames]
        kept[0]["sum"][:] = -1
        for frame, found in zip(frames[1:], kept[1:], strict=True):
            right(frame, found)
        late = executor.start(frames[0])
    right(frames[0], late.result())  # closing fetched it


def test_copies_of_one_frame_overlap_the_computing_of_another(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], sums: bytes, frames: Frames
) -> None:
    gpu = machine()
    with opened(tensorrt(gpu), sums) as executor:
        gpu.ran.clear()
        first, second = executor.start(frames[0]), executor.start(frames[1])
        streams = [slot.stream.handle for slot in executor._slots]
        queued = [[what for what, _, _ in gpu.queues[stream]] for stream in streams]
        assert queued[0] == ["up", "up", "compute", "record", "down", "down", "record"]
        assert queued[1] == ["up", "up", "wait", "compute", "record", "down", "down", "record"]
        # the second goes up before it waits; its computing waits for the first's computing, not for its copies
        gpu.random.choice = lambda runnable: streams[1] if streams[1] in runnable else runnable[0]
        gpu.run_until(lambda: not gpu.queues[streams[1]])
        assert gpu.ran[:2] == ["up", "up"]
        assert [what for what, _, _ in gpu.queues[streams[0]]] == ["down", "down", "record"]
        right(frames[0], first.result())
        right(frames[1], second.result())


def test_results_may_be_fetched_by_another_thread(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], sums: bytes, frames: Frames
) -> None:
    gpu = machine()
    with opened(tensorrt(gpu), sums) as executor:
        pending = [executor.start(frame) for frame in frames[:2]]
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.extend(one.result() for one in reversed(pending)))
        thread.start()
        thread.join()
        right(frames[1], found[0])
        right(frames[0], found[1])
    assert gpu.leaks() == {}


def test_only_what_is_asked_for_comes_down(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], sums: bytes, frames: Frames
) -> None:
    gpu = machine()
    with opened(tensorrt(gpu), sums) as executor:
        assert list(executor.start(frames[0], ["b_again"]).result()) == ["b_again"]
        assert gpu.ran.count("down") == 1


def test_a_network_that_cannot_be_recorded_runs_kernel_by_kernel(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], sums: bytes, frames: Frames
) -> None:
    gpu = machine()
    trt = tensorrt(gpu)
    trt.unrecordable = True
    with opened(trt, sums) as executor:
        assert executor.note == "no CUDA graph: cuStreamEndCapture: CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"
        right(frames[0], executor.start(frames[0]).result())
        assert "cuGraphLaunch" not in gpu.calls
    assert gpu.leaks() == {}


def test_recording_happens_after_a_run_and_on_an_idle_stream(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], sums: bytes
) -> None:
    gpu = machine()
    with opened(tensorrt(gpu), sums):
        first_run, recording = gpu.calls.index("execute_async_v3"), gpu.calls.index("cuStreamBeginCapture")
        assert first_run < gpu.calls.index("Stream.synchronize") < recording
        between = gpu.calls[recording + 1 : gpu.calls.index("cuStreamEndCapture")]
        assert between == ["execute_async_v3"]
        assert gpu.live["executable graph"] == 2
        assert gpu.live["graph"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": np.zeros((2, 4), np.float32)}, "input a is float32 2x3, not float32 2x4"),
        ({"a": np.zeros((2, 3), np.float64)}, "input a is float32 2x3, not float64 2x3"),
        ({"c": np.zeros(1)}, "inputs a, b, c given, it takes a, b"),
    ],
)
def test_wrong_inputs_are_one_line(
    machine: Callable[..., Any],
    tensorrt: Callable[..., Any],
    sums: bytes,
    frames: Frames,
    change: dict[str, np.ndarray],
    message: str,
) -> None:
    with opened(tensorrt(machine()), sums) as executor:
        with pytest.raises(RssegError, match=f"bundle x: {message}"):
            executor.start(frames[0] | change)
        with pytest.raises(RssegError, match="no output 'z'"):
            executor.start(frames[0], ["z"])
    with pytest.raises(RssegError, match="was closed"):
        executor.start(frames[0])


def test_a_damaged_plan_is_refused_and_leaves_nothing(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], sums: bytes
) -> None:
    gpu = machine()
    trt, device = tensorrt(gpu), Device()
    with pytest.raises(PlanRefusedError, match="bundle x: the engine does not load: Serialization assertion failed"):
        Executor(trt, b"PLAN of another" + sums, device, name="bundle x")
    device.close()
    assert gpu.leaks() == {}


def test_a_gpu_without_room_for_two_frames_runs_one(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], sums: bytes, frames: Frames
) -> None:
    gpu = machine()
    with opened(tensorrt(gpu), sums):
        second = [i for i, call in enumerate(gpu.calls) if call == "mem_alloc"][4]
    gpu = machine(fail_at=second)
    with opened(tensorrt(gpu), sums) as executor:
        assert executor.note == "one frame at a time: the GPU's memory holds no second (mem_alloc failed: injected)"
        for frame in frames[:3]:
            right(frame, executor.start(frame).result())
    assert gpu.leaks() == {}


@pytest.mark.parametrize("integrated", [False, True])
def test_a_fault_at_any_call_is_one_error_and_no_leak(
    machine: Callable[..., Any], tensorrt: Callable[..., Any], sums: bytes, frames: Frames, integrated: bool
) -> None:
    gpu = machine(integrated=integrated)

    def fly(gpu: Any) -> None:
        with opened(tensorrt(gpu), sums) as executor:
            pending = [executor.start(frame) for frame in frames[:3]]
            for frame, one in zip(frames, pending, strict=False):
                right(frame, one.result())

    fly(gpu)
    count, messages = len(gpu.calls), list[str]()
    assert count > 60
    for index in range(count):
        gpu = machine(integrated=integrated, fail_at=index)
        try:
            fly(gpu)
        except RssegError as error:
            messages.append(str(error))
        assert gpu.leaks() == {}, f"call {index}, {gpu.calls[index]}"
    assert len(messages) > count / 2
    assert all(message.startswith("bundle x: ") and "\n" not in message for message in messages)
