import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rsseg_edge.bench.run import measure
from rsseg_edge.cli.bench import main
from rsseg_edge.errors import UsageError


def test_every_stage_is_measured_alone_and_all_together(
    bundle: Path, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    measured = measure(str(bundle), write_video(tmp_path / "a.mp4", stamps=range(40)), frames=30)
    assert list(measured.alone) == ["decode", "prepare", "infer", "finish", "write"]
    for timing in measured.alone.values():
        assert 20 <= len(timing.wall) <= 30
        assert 0 < timing.quantile(0.5) <= timing.quantile(0.99)
        assert timing.cpu > 0
    slowest = min(timing.rate for timing in measured.alone.values())
    assert measured.overlap == pytest.approx(measured.together / slowest)
    for word in ("levels, fp32", "96x64", "ONNX Runtime", "cores"):
        assert word in " ".join(measured.about.values())


@pytest.mark.parametrize("count", [1, 4])
def test_a_video_that_is_too_short_is_a_usage_error(
    bundle: Path, tmp_path: Path, write_video: Callable[..., Path], count: int
) -> None:
    with pytest.raises(UsageError, match="too short"):
        measure(str(bundle), write_video(tmp_path / "a.mp4", stamps=range(count)))


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
    assert set(measured["alone"]["infer"]) == {"median_ms", "p90_ms", "p99_ms", "core_ms", "frames_per_second"}
