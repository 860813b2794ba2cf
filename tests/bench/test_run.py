import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rsseg_edge.bench import whole
from rsseg_edge.bench.contestants import OURS, PLAIN, contest
from rsseg_edge.bench.roofline import find_board
from rsseg_edge.bench.run import measure
from rsseg_edge.bench.whole import FEWEST, Settings, run_whole
from rsseg_edge.bundle import open_bundle
from rsseg_edge.cli.bench import main
from rsseg_edge.engines.base import EngineAbsentError
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import UsageError


def test_every_stage_is_measured_alone_and_all_together(
    bundle: Path, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    settings = Settings(write_video(tmp_path / "a.mp4", stamps=range(40)), frames=30)
    (measured,) = measure(str(bundle), settings)
    assert list(measured.alone) == ["decode", "prepare", "infer", "finish", "write"]
    for timing in measured.alone.values():
        assert 20 <= len(timing.wall) <= 30
        assert 0 < timing.quantile(0.5) <= timing.quantile(0.99)
        assert timing.cpu > 0
    slowest = min(timing.rate for timing in measured.alone.values())
    assert measured.overlap == pytest.approx(measured.together / slowest)
    for word in ("levels, fp32", "96x64", "ONNX Runtime", "cores"):
        assert word in " ".join(measured.about.values())


def test_a_run_that_takes_long_is_ended_in_order(
    bundle: Path, tmp_path: Path, write_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(write_video(tmp_path / "a.mp4", stamps=range(60)), frames=60)
    assert run_whole(str(bundle), settings, None, None).frames == 60
    monkeypatch.setattr(whole, "LIMIT", 0.0)
    assert FEWEST <= run_whole(str(bundle), settings, None, None).frames < 60


@pytest.mark.parametrize("count", [1, 4])
def test_a_video_that_is_too_short_is_a_usage_error(
    bundle: Path, tmp_path: Path, write_video: Callable[..., Path], count: int
) -> None:
    with pytest.raises(UsageError, match="too short"):
        measure(str(bundle), Settings(write_video(tmp_path / "a.mp4", stamps=range(count))))


def test_json_of_the_command(
    bundle: Path,
    tmp_path: Path,
    write_video: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clip = write_video(tmp_path / "a.mp4", stamps=range(40))
    monkeypatch.setattr(sys, "argv", ["rsseg-bench", str(bundle), "--video", str(clip), "--frames", "30", "--json"])
    with pytest.raises(SystemExit, match="0"):
        main()
    measured = json.loads(capsys.readouterr().out)
    assert measured["together"]["by_slowest_alone"] > 0
    assert measured["alone"]["infer"]["median_ms"] <= measured["alone"]["infer"]["p99_ms"]
    assert measured["first_frame_ms"] > 0 < measured["peak_memory_mb"]


def test_the_graph_runs_in_turn_with_other_runtimes(
    bundle: Path, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    clip = write_video(tmp_path / "a.mp4", stamps=range(40))
    settings = Settings(clip, frames=30, compare=True, power=True, board=find_board("h100"))
    (measured,) = measure(str(bundle), settings)
    contest = measured.contest
    assert contest is not None
    assert contest.wall[OURS].min() > 0
    assert "standard operators" in contest.absent[PLAIN]
    assert ("OpenVINO" in contest.wall) == (importlib.util.find_spec("openvino") is not None)
    assert "no network" in contest.absent["PyTorch eager"]
    assert measured.roofline is not None
    assert measured.roofline.total > 0
    assert measured.power is not None
    for stage in measured.timeline.values():
        assert (np.diff(stage[:, 0]) > 0).all()


def test_a_report_of_another_kind_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rsseg-bench", "--report", "page.pdf"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "page.pdf" in capsys.readouterr().err


def test_a_graph_in_fp16_runs_as_it_is_beside_ours() -> None:
    bundle = open_bundle("cris-tiny")
    model = bundle.read("text.onnx")
    inputs = {"tokens": np.ones((1, 24), np.int64)}
    engine = OnnxRuntimeEngine(model, threads=1)

    def absent() -> None:
        raise EngineAbsentError("there is no network")

    found = contest(lambda: engine.infer(inputs), model, inputs, 1, absent)
    assert {OURS, PLAIN} <= set(found.wall)
    assert found.absent["PyTorch eager"] == found.absent["torch.compile"] == "there is no network"
    assert found.ratio(PLAIN) > 0 <= found.ratio_spread(PLAIN)
    assert found.others is None or found.others >= 0
