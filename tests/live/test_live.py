"""The page of a run, over HTTP on the loopback as a browser asks for it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.live.address import Address, parse_address
from rsseg_edge.live.board import Board
from rsseg_edge.live.server import LiveServer
from rsseg_edge.monitor import Dropped, State, StreamMonitor
from rsseg_edge.types import ClassTable, Frame, Result, Segmentation

TABLE = ClassTable(("roof", 'wa"ter'), ((250, 0, 0), (0, 0, 250)))


def frame(number: int) -> Result:
    """A grey picture, its left third roof."""
    classes = np.ones((48, 60), np.uint8)
    classes[:, :20] = 0
    segmentation = Segmentation(classes, np.full_like(classes, 200), TABLE)
    return Result(Frame(np.full((48, 60, 3), 128, np.uint8), number, "live"), segmentation, segmentation.pixel_counts())


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def board(asked: list[str]) -> Board:
    def ask(text: str) -> list[str]:
        if "bad" in text:
            raise UsageError("'bad' is no class")
        asked.append(text)
        return ["2 new words"]

    monitor = StreamMonitor("rtsp://host/cam")
    monitor.enter(State.streaming)
    return Board("classes", ask, monitor, alpha=1.0)


@pytest.fixture
def server(board: Board) -> Iterator[LiveServer]:
    server = LiveServer(Address("127.0.0.1", 0), {"cam": board})
    yield server
    board.end()
    server.close()


def request(server: LiveServer, path: str, method: str = "GET", body: str | None = None, **headers: str):
    host = server.url.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    return connection.getresponse()


def test_the_page_and_its_files_come_from_here_alone(server: LiveServer):
    for path in ("/", "/page.js", "/page.css"):
        answer = request(server, path)
        text = answer.read().decode()
        assert answer.status == 200
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert request(server, "/../server.py").status == 404


def test_the_newest_picture_comes_without_the_classes_that_are_hidden(server: LiveServer, board: Board):
    board.show(frame(0))
    for hidden, blue in (("", 250), ("?hide=wa%22ter", 128)):
        answer = request(server, f"/video{hidden}")
        assert answer.fp.readline() == b"--frame\r\n"
        answer.fp.readline()
        length = int(answer.fp.readline().split()[1])
        answer.fp.readline()
        picture = cv2.imdecode(np.frombuffer(answer.fp.read(length), np.uint8), cv2.IMREAD_COLOR)
        answer.close()
        assert picture.shape == (48, 60, 3)
        assert abs(int(picture[40, 50, 0]) - blue) < 12
        assert picture[40, 5, 2] > 200  # roof stays


def test_a_slow_client_gets_the_newest_frame_next(board: Board):
    board.show(frame(0))
    number, _ = board.picture(0, frozenset())
    for i in range(1, 30):
        board.show(frame(i))
    assert board.picture(number, frozenset())[0] == 30
    threading.Timer(0.2, board.end).start()
    begin = time.monotonic()
    assert board.picture(30, frozenset()) is None
    assert time.monotonic() - begin < 3


def test_state_and_metrics_have_what_is_shown(server: LiveServer, board: Board):
    board.show(frame(0))
    state = json.loads(request(server, "/state").read())
    assert [c["name"] for c in state["classes"]] == ["roof", 'wa"ter']
    assert state["classes"][0]["share"] == pytest.approx(1 / 3, abs=1e-4)
    assert state["stream"]["state"] == "streaming"
    assert state["kind"] == "classes"
    assert len(state["history"]) == 1
    metrics = request(server, "/metrics").read().decode()
    assert 'rsseg_frames_total{stream="cam"} 1\n' in metrics
    assert 'rsseg_class_share{stream="cam",class="wa\\"ter"}' in metrics
    assert 'rsseg_stream_up{stream="cam"} 1\n' in metrics


def test_those_that_the_overlay_is_sent_to_are_there_too(server: LiveServer, board: Board):
    push = StreamMonitor("udp://ground:5001")
    board.pushes = [push]
    for _ in range(3):
        push.receive()
    push.enter(State.streaming)
    push.show(None, 0.0)
    push.drop(Dropped.away, 2)
    push.enter(State.lost, "Connection refused")
    (told,) = json.loads(request(server, "/state").read())["pushes"]
    found = {name: told[name] for name in ("name", "state", "shown", "dropped", "connections", "why")}
    assert found == {
        "name": "udp://ground:5001", "state": "lost", "shown": 1, "dropped": {"away": 2}, "connections": 1,
        "why": "Connection refused",
    }  # fmt: skip
    metrics = request(server, "/metrics").read().decode()
    assert 'rsseg_push_up{stream="cam",to="udp://ground:5001"} 0\n' in metrics
    assert 'rsseg_push_frames_total{stream="cam",to="udp://ground:5001"} 1\n' in metrics
    assert 'rsseg_push_dropped_frames_total{stream="cam",to="udp://ground:5001",reason="away"} 2\n' in metrics


def test_a_browser_that_goes_is_no_error_and_a_defect_is(server: LiveServer, capsys: pytest.CaptureFixture[str]):
    for error, told in ((BrokenPipeError("gone"), False), (ZeroDivisionError("ours"), True)):
        try:
            raise error
        except type(error):
            server._server.handle_error(None, ("127.0.0.1", 1))
        assert ("Traceback" in capsys.readouterr().err) is told


def test_what_is_typed_is_asked_and_an_error_is_one_line(server: LiveServer, asked: list[str]):
    def post(text: str):
        return json.loads(request(server, "/ask", "POST", text, X_Requested_With="rsseg").read())

    assert post("pool; road") == {"notes": ["2 new words"]}
    assert asked == ["pool; road"]
    assert post("bad") == {"error": "'bad' is no class"}
    assert request(server, "/ask", "POST", "x" * 5000, X_Requested_With="rsseg").status == 413


def test_other_sites_neither_ask_nor_read(server: LiveServer, asked: list[str]):
    assert request(server, "/ask", "POST", "pool").status == 403  # a form sends no such header
    assert request(server, "/state", Host="evil.example:80").status == 421  # a name that was bent to this address
    assert request(server, "/state", Host="localhost:80").status == 200
    assert asked == []


def test_beyond_this_machine_a_token_is_needed(board: Board):
    server = LiveServer(Address("127.0.0.1", 0, "long-enough"), {"cam": board})
    try:
        assert request(server, "/state").status == 401
        assert request(server, "/state?token=wrong").status == 401
        answer = request(server, "/?token=long-enough")
        assert answer.status == 200
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert request(server, "/state", Cookie=cookie.split(";")[0]).status == 200
        assert request(server, "/state", Cookie="rsseg_token=nope").status == 401
    finally:
        server.close()


@pytest.mark.parametrize("text", ["0.0.0.0:8080", "[::]:8080", "10.1.2.3:80", "drone.local:80"])
def test_an_address_of_others_is_refused_without_a_token(text: str):
    with pytest.raises(UsageError, match="--token SECRET"):
        parse_address(text, None)
    assert parse_address(text, "long-enough").token == "long-enough"


@pytest.mark.parametrize(
    ("text", "host"), [("8080", "127.0.0.1"), ("live://:8080", "127.0.0.1"), ("[::1]:8080", "::1")]
)
def test_without_a_host_only_this_machine_is_served(text: str, host: str):
    address = parse_address(text, None)
    assert (address.host, address.port, address.is_local) == (host, 8080, True)


@pytest.mark.parametrize("text", ["", "host", "8080x", "70000"])
def test_an_address_without_a_port_is_refused(text: str):
    with pytest.raises(UsageError, match="a port"):
        parse_address(text, None)


def test_a_port_that_is_taken_is_one_line(server: LiveServer, board: Board):
    port = int(server.url.split(":")[2].strip("/"))
    with pytest.raises(RssegError, match=f"cannot listen on 127.0.0.1:{port}"):
        LiveServer(Address("127.0.0.1", port), {"cam": board})
