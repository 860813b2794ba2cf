from pathlib import Path

import pytest

from rsseg_edge.errors import UsageError
from rsseg_edge.outputs import Outputs
from rsseg_edge.sinks.destination import Destination, Kind, parse_destination


@pytest.mark.parametrize(
    ("uri", "kind", "where"),
    [
        ("out/a.mp4", Kind.file, "out/a.mp4"),
        ("file:///tmp/a.MKV", Kind.file, "/tmp/a.MKV"),
        ("udp://239.1.2.3:5000?ttl=4", Kind.transport_stream, "udp://239.1.2.3:5000?ttl=4"),
        ("udp://[::1]:5000", Kind.transport_stream, "udp://[::1]:5000"),
        ("rtsp://me:pw@host/cam", Kind.rtsp, "rtsp://me:pw@host/cam"),
        ("live://:8080", Kind.page, ":8080"),
    ],
)
def test_a_uri_says_what_is_there(uri: str, kind: Kind, where: str) -> None:
    assert parse_destination(uri) == Destination(kind, where)


@pytest.mark.parametrize(
    "uri",
    [
        *("", "out", "out/a.avi", "udp://", "udp://host", "udp://:5000", "udp://host:x", "udp://host:99999"),
        *("udp://[::1:5", "rtsp://host", "rtsp://host:8554/", "http://host/a.mp4", "rtmp://host/live", "://"),
    ],
)
def test_what_nothing_can_be_sent_to_is_one_line(uri: str) -> None:
    with pytest.raises(UsageError, match=r"^--to ") as caught:
        parse_destination(uri)
    assert "\n" not in str(caught.value)


def test_srt_is_refused_with_the_relay_that_takes_its_place() -> None:
    with pytest.raises(UsageError, match=r"no srt://; send udp://127\.0\.0\.1:5001 .* udp://:5001 srt://host:9 does"):
        parse_destination("srt://host:9")


def test_outputs_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        Outputs(["a.mp4", "a.mp4"])
    with pytest.raises(UsageError, match="one page"):
        Outputs(["live://:1", "live://:2"])
    with pytest.raises(UsageError, match="--max-mbit"):
        Outputs(["a.mp4"], 4)
    assert Outputs(["a.mp4", "live://0.0.0.0:80"]).page == "0.0.0.0:80"
    assert Outputs(["a.mp4"]).destinations()[0].path == Path("a.mp4")
