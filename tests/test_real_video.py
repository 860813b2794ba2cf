"""Real aerial video: every frame that decodes comes out, at its time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rsseg_edge.job import Job, Request

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "video"
VIDEOS = sorted([*FOLDER.glob("*.ts"), *FOLDER.glob("*.mp4")])


@pytest.mark.skipif(not VIDEOS, reason="the real videos of ../shared/data/video are not here")
@pytest.mark.parametrize("path", VIDEOS, ids=lambda path: path.name)
def test_every_frame_comes_out_at_its_time(
    path: Path, tmp_path: Path, bundle: Path, read_stamps: Callable[[Path], list]
) -> None:
    outcome = Job(Request(str(path), str(bundle), tmp_path, long_side=64), report=pytest.fail).run()
    assert outcome.error is None
    expected = read_stamps(path)
    assert len(expected) == outcome.frames == len((tmp_path / "frames.jsonl").read_text().splitlines())
    assert read_stamps(tmp_path / "overlay.mp4") == expected
