import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsseg_edge.scenes import reading
from rsseg_edge.scenes.probe import scene_inputs
from rsseg_edge.scenes.run import SceneJob
from rsseg_edge.scenes.settings import SceneRequest

from .test_run import pixels


class Server(ThreadingHTTPServer):
    data = b""
    requests = 0
    refused = 0


class Handler(BaseHTTPRequestHandler):
    """Serves ranges of one file; the first request and every seventh after it is answered by "busy"."""

    server: Server

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.server.requests += 1
        if self.server.requests % 7 == 1:
            self.server.refused += 1
            self.send_error(503)
            return
        data, begin, end = self.server.data, 0, len(self.server.data)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            begin = int(asked[1])
            end = min(end, int(asked[2]) + 1) if asked[2] else end
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        if body:
            self.wfile.write(data[begin:end])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(scene: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(reading, "PAUSES", (0.0, 0.0, 0.0))
    server = Server(("127.0.0.1", 0), Handler)
    server.data = scene.read_bytes()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_scene_behind_a_busy_server_is_the_same(server: Server, scene: Path, cells: Path, tmp_path: Path) -> None:
    request = SceneRequest(model=str(cells), out=tmp_path / "local", tile=256, overlap=64, threads=1, polygons=())
    SceneJob(request).run(str(scene), "scene")
    found = scene_inputs(f"http://127.0.0.1:{server.server_port}/scene.tif")
    assert found is not None
    outcome = SceneJob(replace(request, out=tmp_path / "remote")).run(found[0].path, "scene")
    assert server.refused > 0
    assert not outcome.failures
    assert np.array_equal(pixels(tmp_path / "remote" / "scene.tif"), pixels(tmp_path / "local" / "scene.tif"))
