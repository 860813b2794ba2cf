"""Several inputs through one network: what each of them gives is what it gives alone."""

from __future__ import annotations

import _thread
import hashlib
import json
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import rsseg_edge.several as module
from rsseg_edge.asked_model import Vocabulary
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.job import Job, Request
from rsseg_edge.maps import MapRequest
from rsseg_edge.outputs import Outputs
from rsseg_edge.several import SeveralJobs
from rsseg_edge.sources import stream as stream_module
from rsseg_edge.sources.base import Selection
from rsseg_edge.temporal.segmenter import Steadiness

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, write_video: Write) -> list[Path]:
    """Of one size but the last, of three lengths."""
    folder = tmp_path_factory.mktemp("clips")
    return [
        write_video(folder / "a.mp4", stamps=range(40)),
        write_video(folder / "b.mp4", stamps=range(25)),
        write_video(folder / "c.mp4", stamps=range(33), size=(64, 96)),
    ]


@pytest.fixture(scope="module")
def batched_bundle(levels_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the tests, its graph's batch free."""
    onnx = pytest.importorskip("onnx")
    folder = Path(shutil.copytree(levels_bundle, tmp_path_factory.mktemp("bundles") / "batched"))
    model = onnx.load(folder / "model.onnx")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["model.onnx"] = hashlib.sha256(data).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def several(request: Request, inputs: list[Path] | list[str], told: list[str] | None = None) -> SeveralJobs:
    report = pytest.fail if told is None else told.append
    return SeveralJobs(request, [str(where) for where in inputs], report)


@pytest.mark.parametrize("batched", [False, True])
def test_each_gives_what_it_gives_alone(
    clips: list[Path],
    bundle: Path,
    batched_bundle: Path,
    tmp_path: Path,
    batched: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    infer = OnnxRuntimeEngine.infer

    def slow(*given: Any) -> Any:  # so that streams wait for it
        time.sleep(0.01)
        return infer(*given)

    monkeypatch.setattr(OnnxRuntimeEngine, "infer", slow)
    model = str(batched_bundle if batched else bundle)
    jobs = several(Request("", model, tmp_path / "out"), clips)
    seen: list[tuple[str, int]] = []
    jobs.run(lambda name, result: seen.append((name, result.frame.index)))
    assert jobs.exit_code == 0
    for lane, clip, count in zip(jobs.lanes, clips, (40, 25, 33), strict=True):
        assert lane.outcome is not None
        assert lane.outcome.frames == count == frames_in(tmp_path / "out" / lane.name / "overlay.mp4")
        assert [index for name, index in seen if name == lane.name] == list(range(count))
        Job(Request(str(clip), model, tmp_path / "alone"), pytest.fail).run()
        assert lines(tmp_path / "out" / lane.name) == lines(tmp_path / "alone")
    assert jobs.batches.frames == 98
    assert jobs.batches.joins == batched
    if batched:
        assert jobs.batches.largest == 2, "the two of one size"
        assert jobs.batches.calls < 85
    else:
        assert jobs.batches.calls == 98


def test_memory_of_the_past_is_of_each_stream(clips: list[Path], tmp_path: Path) -> None:
    steady = Steadiness(0.5, 3)
    jobs = several(Request("", "segclip-tiny", tmp_path / "out", long_side=64, steadiness=steady), clips[:2])
    jobs.run()
    for lane, clip in zip(jobs.lanes, clips, strict=False):
        alone = Job(Request(str(clip), "segclip-tiny", tmp_path / "alone", long_side=64, steadiness=steady), print)
        alone.run()
        assert lane.job is not None
        assert lane.job.temporal is not None
        assert alone.temporal is not None
        assert lane.job.temporal.keyframes == alone.temporal.keyframes
        assert lines(tmp_path / "out" / lane.name) == lines(tmp_path / "alone")


def test_the_words_of_an_open_vocabulary_are_of_all_and_its_windows_go_together(
    clips: list[Path], tmp_path: Path
) -> None:
    words = Vocabulary(["road", "house", "tree"])
    chosen = Selection(max_frames=4)
    request = Request("", "segearth-ov-tiny", tmp_path / "out", chosen, vocabulary=words, long_side=320)
    jobs = several(request, clips[:2])
    jobs.run()
    assert jobs.batches.joins
    assert jobs.batches.largest == 2
    assert jobs.batches.frames == 8
    Job(replace(request, where=str(clips[1]), out=tmp_path / "alone"), pytest.fail).run()
    for together, alone in zip(lines(tmp_path / "out" / "b"), lines(tmp_path / "alone"), strict=True):
        for name, found in together["classes"].items():  # another batch size may round in another way
            assert abs(found["pixels"] - alone["classes"][name]["pixels"]) <= 0.005 * 96 * 64


def test_one_that_is_damaged_stops_no_other(clips: list[Path], bundle: Path, tmp_path: Path) -> None:
    cut, text = tmp_path / "cut.mp4", tmp_path / "text.mp4"
    shutil.copy(clips[0], cut)
    cut.write_bytes(clips[0].read_bytes()[:-900])
    text.write_text("hello\n" * 99)
    told: list[str] = []
    jobs = several(Request("", str(bundle), tmp_path / "out"), [clips[1], text, clips[2]], told)
    assert [lane.error is None for lane in jobs.lanes] == [True, False, True]
    jobs.run()
    assert jobs.exit_code == 1
    assert len(told) == 1
    assert told[0].startswith(f"text: {text}: not a video")
    assert [len(lines(tmp_path / "out" / name)) for name in ("b", "c")] == [25, 33]
    assert not (tmp_path / "out" / "text").exists()


def test_one_that_fails_on_the_way_keeps_what_it_did(clips: list[Path], bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "b").mkdir(parents=True)
    jobs = several(Request("", str(bundle), tmp_path / "out"), clips, told := [])
    assert jobs.lanes[1].job is not None
    jobs.lanes[1].job.sinks[0].write = _refuse_after(9)  # type: ignore[method-assign]
    jobs.run()
    assert [lane.outcome.frames for lane in jobs.lanes if lane.outcome] == [40, 9, 33]
    assert told == ["b: the disk is full"]
    assert jobs.exit_code == 1
    assert [len(lines(tmp_path / "out" / name)) for name in ("a", "b", "c")] == [40, 9, 33]


def _refuse_after(count: int) -> Callable[[Any], None]:
    left = [count]

    def write(result: Any) -> None:
        if left[0] == 0:
            raise RssegError("the disk is full")
        left[0] -= 1

    return write


def test_not_one_that_can_be_read_is_an_error(bundle: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_text("text")
    with pytest.raises(RssegError, match=r"a\.mp4: not a video"):
        several(Request("", str(bundle), tmp_path / "out"), [tmp_path / "a.mp4", tmp_path / "b.mp4"], [])


def test_what_cannot_be_met_is_refused_before_anything_begins(clips: list[Path], bundle: Path, tmp_path: Path) -> None:
    request = Request("", str(bundle), tmp_path / "out")
    files = [str(clip) for clip in clips]
    for inputs, changed, message in (
        ([files[0], "gone.mp4"], {}, "no such file or folder: gone.mp4"),
        ([files[0], str(tmp_path)], {}, "still images, other inputs are not"),
        (["udp://127.0.0.1:9", "udp://127.0.0.1:9"], {}, "given twice"),
        (files, {"max_lag": 1.0}, "--max-lag is for live streams"),
        (files, {"latest": True}, "--latest is for standard input"),
        (files, {"outputs": Outputs(["udp://127.0.0.1:9"])}, "--to is for one input"),
        (files, {"maps": MapRequest(geo=tmp_path / "x.gpkg")}, "give its name alone"),
        (files, {"maps": MapRequest(geo=Path("x.gpkg"), telemetry=Path("x.srt"))}, "--telemetry belongs to one video"),
        (files, {"live_page": "0.0.0.0:8080"}, "--token SECRET"),
        (files, {"classes_only": ["lava"]}, "'lava'"),
    ):
        with pytest.raises(UsageError, match=message):
            several(replace(request, **changed), inputs)
    assert not (tmp_path / "out").exists()


def test_no_result_replaces_an_input(clips: list[Path], bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    own = Path(shutil.copy(clips[0], tmp_path / "a" / "overlay.mp4"))
    with pytest.raises(UsageError, match="is an input"):
        several(Request("", str(bundle), tmp_path), [clips[0], own])


def test_live_streams_and_a_file_run_side_by_side_until_they_are_stopped(
    clips: list[Path], bundle: Path, tmp_path: Path, new_sender: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "READ", 0.5)
    one, two = new_sender(), new_sender()
    jobs = several(
        Request("", str(bundle), tmp_path / "out", max_lag=2.0), [one.address, str(clips[0]), two.address], []
    )
    shown = {lane.name: 0 for lane in jobs.lanes}
    done: list[object] = []

    def count(name: str, _: object) -> None:
        shown[name] += 1

    thread = threading.Thread(target=lambda: done.append(jobs.run(count)), daemon=True)
    thread.start()
    first, file, second = (lane.name for lane in jobs.lanes)

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    wait(lambda: shown[file] == 40 and shown[first] > 5 and shown[second] > 5)
    one.stop()
    assert jobs.lanes[0].job is not None
    assert jobs.lanes[2].job is not None
    monitors = [jobs.lanes[k].job.stream for k in (0, 2)]  # type: ignore[union-attr]
    wait(lambda: monitors[0].state.value == "lost")
    before = shown[second]
    wait(lambda: shown[second] > before + 10)
    one.start()
    before = shown[first]
    wait(lambda: shown[first] > before + 5)
    jobs.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert jobs.exit_code == 0
    assert jobs.stopped
    assert [monitor.status().connections for monitor in monitors] == [2, 1]
    for lane in jobs.lanes:
        assert (
            len(lines(tmp_path / "out" / lane.name))
            == shown[lane.name]
            == frames_in(tmp_path / "out" / lane.name / "overlay.mp4")
        )


def test_a_stream_that_comes_late_holds_up_nothing_and_joins(
    clips: list[Path], bundle: Path, tmp_path: Path, new_sender: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    late, never = new_sender(), new_sender()
    late.stop()
    never.stop()
    jobs = several(
        Request("", str(bundle), tmp_path / "out", live_page="0"), [late.address, str(clips[0]), never.address], []
    )
    assert [lane.job is None for lane in jobs.lanes] == [True, False, True]
    shown = {lane.name: 0 for lane in jobs.lanes}

    def count(name: str, _: object) -> None:
        shown[name] += 1

    thread = threading.Thread(target=jobs.run, args=(count,), daemon=True)
    thread.start()
    first, file, _ = (lane.name for lane in jobs.lanes)

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    wait(lambda: jobs.lanes[1].outcome is not None)
    assert shown == {first: 0, file: 40, jobs.lanes[2].name: 0}
    late.start()
    wait(lambda: shown[first] > 10)
    assert jobs.page is not None
    assert first in jobs.page.boards
    begin = time.monotonic()
    jobs.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - begin < 5, "it waited for the one that never came"
    assert len(lines(tmp_path / "out" / first)) == shown[first]


def test_a_second_interrupt_drops_what_is_open(
    clips: list[Path], bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = OnnxRuntimeEngine.infer
    monkeypatch.setattr(OnnxRuntimeEngine, "infer", lambda *given: (time.sleep(0.05), infer(*given))[1])
    jobs = several(Request("", str(bundle), tmp_path / "out"), clips)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.5, _thread.interrupt_main).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            jobs.run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_page_shows_all_of_them(clips: list[Path], bundle: Path, tmp_path: Path) -> None:
    import urllib.request

    said: list[str] = []
    request = Request("", str(bundle), tmp_path / "out", live_page="0")
    jobs = SeveralJobs(request, [str(clip) for clip in clips], pytest.fail, said.append)
    states: list[dict] = []

    def look(name: str, result: Any) -> None:
        if name == "c" and result.frame.index == 20 and jobs.page is not None and jobs.page.url is not None:
            for query in ("", "?stream=c", "?stream=nobody"):
                with urllib.request.urlopen(jobs.page.url + "state" + query, timeout=10) as answer:
                    states.append(json.load(answer))
            with urllib.request.urlopen(jobs.page.url + "metrics", timeout=10) as answer:
                states.append({"metrics": answer.read().decode()})

    jobs.run(look)
    assert len(states) == 4
    assert list(states[0]["streams"]) == ["a", "b", "c"]
    assert states[1]["streams"]["c"] == "running"
    assert states[1]["frames"] == 21
    assert states[0]["frames"] != 21 or states[2]["frames"] == states[0]["frames"]
    metrics = states[3]["metrics"]
    assert metrics.count("# TYPE rsseg_frames_total counter") == 1
    assert 'rsseg_frames_total{stream="c"} 21' in metrics
    assert 'rsseg_frames_total{stream="b"}' in metrics
    assert jobs.page is not None
    assert jobs.page.url is None, "it is not served any more"
    assert np.all([line.count("http") == 1 for line in said if line.startswith("live:")])
