import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from rsseg_edge.errors import UsageError
from rsseg_edge.event_log import close_log, open_log, tell
from rsseg_edge.monitor import Dropped, State, StreamMonitor

LOG = logging.getLogger("rsseg_edge.test")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    handler = open_log(str(tmp_path / "events.jsonl"))
    yield tmp_path / "events.jsonl"
    close_log(handler)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_event_is_a_line_with_its_fields(path: Path) -> None:
    tell(LOG, logging.WARNING, "lost", "cam: lost (näh)", stream="cam", why="näh\nno", count=3)
    LOG.info("plain %d", 7)
    event, plain = lines(path)
    assert event["time"].endswith("Z")
    assert len(event["time"]) == len("2026-01-02T03:04:05.678Z")
    del event["time"], plain["time"]
    assert event == {
        "level": "warning", "event": "lost", "stream": "cam", "why": "näh\nno", "count": 3, "text": "cam: lost (näh)",
    }  # fmt: skip
    assert plain == {"level": "info", "event": "message", "text": "plain 7"}


def test_a_log_is_appended_to_and_goes_on_after_it_was_moved(path: Path) -> None:
    tell(LOG, logging.INFO, "one", "1")
    path.rename(path.with_suffix(".old"))
    tell(LOG, logging.INFO, "two", "2")
    assert [line["event"] for line in lines(path.with_suffix(".old"))] == ["one"]
    second = open_log(str(path))
    tell(LOG, logging.INFO, "three", "3")
    close_log(second)
    assert [line["event"] for line in lines(path)] == ["two", "three", "three"]


def test_a_log_that_cannot_be_opened_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--log .*gone.*: No such file or directory"):
        open_log(str(tmp_path / "gone" / "a.jsonl"))


def test_a_log_that_cannot_be_written_is_said_once_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    handler = open_log("/dev/full")
    for _ in range(3):
        tell(LOG, logging.INFO, "one", "1")
    logging.getLogger("rsseg_edge").removeHandler(handler)
    assert capsys.readouterr().err.count("the log cannot be written") == 1


def test_a_stream_tells_what_happens_to_it_and_drops_once_a_second(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("rsseg_edge.monitor.time.monotonic", lambda: now[0])
    monitor = StreamMonitor("rtsp://host/cam")
    monitor.enter(State.streaming)
    for _ in range(50):  # a second of a fast camera
        now[0] += 0.02
        monitor.drop(Dropped.newer)
    monitor.drop(Dropped.late, 2)
    monitor.enter(State.lost, "reset by peer")
    monitor.enter(State.lost, "refused")
    monitor.enter(State.streaming)
    monitor.restart(12)
    monitor.enter(State.ended)
    told = lines(path)
    assert all(line["stream"] == "rtsp://host/cam" for line in told)
    events = [line["event"] for line in told]
    rest = [event for event in events if event not in ("dropped", "late")]
    assert rest == ["opened", "lost", "reopened", "decoder restarted", "ended"]
    dropped = [line for line in told if line["event"] == "dropped"]
    assert len(dropped) <= 3
    assert sum(line["count"] for line in dropped) == 50 == dropped[-1]["total"]
    late = [line for line in told if line["event"] == "late"]
    assert [(line["reason"], line["count"], line["total"]) for line in late] == [("late", 2, 2)]
    assert told[events.index("lost")]["why"] == "reset by peer"
    assert told[events.index("reopened")]["connections"] == 2
    assert told[events.index("lost")]["level"] == "warning"
