import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.scenes import stac_input
from rsseg_edge.scenes.probe import SceneInput, scene_inputs

from .test_cli import run  # noqa: F401

COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def item(name: str, **assets: Any) -> dict[str, Any]:
    return {"type": "Feature", "stac_version": "1.0.0", "id": name, "assets": assets}


def asset(href: str, *roles: str, kind: str = COG, **more: Any) -> dict[str, Any]:
    return {"href": href, "type": kind, "roles": list(roles), **more}


def collection(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(items), **more}


def bands(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "common_name": name} for name in names]


@pytest.mark.parametrize(
    "assets",
    [
        {"visual": asset("good.tif"), "B04": asset("bad.tif", "data")},
        {"tci": asset("good.tif", "visual"), "preview": asset("bad.tif", "visual", "overview")},
        {
            "a": asset("bad.tif", "data", **{"eo:bands": bands("nir")}),
            "b": asset("good.tif", "data", bands=bands("red", "green", "blue")),
        },
        {"image": asset("good.tif", "data"), "thumbnail": asset("bad.png", "thumbnail", kind="image/png")},
        {"only": {"href": "good.tif"}, "meta": {"href": "meta.xml"}},
    ],
)
def test_the_picture_of_an_item(tmp_path: Path, assets: dict[str, Any]) -> None:
    (tmp_path / "item.json").write_text(json.dumps(item("S2/A 1", **assets)))
    assert scene_inputs(str(tmp_path / "item.json")) == [SceneInput(str(tmp_path / "good.tif"), "S2_A_1")]


def test_where_assets_lie(tmp_path: Path) -> None:
    where = ["s3://bucket/a.tif", "https://example.org/picture?sig=1", "/vsicurl/https://example.org/b.tif", "./c.tif"]
    items = [item(f"i{k}", visual=asset(href)) for k, href in enumerate(where)]
    (tmp_path / "items.geojson").write_text(json.dumps(collection(*items)))
    found = scene_inputs(str(tmp_path / "items.geojson"))
    assert found is not None
    assert [scene.path for scene in found] == [
        "/vsis3/bucket/a.tif", "/vsicurl/https://example.org/picture?sig=1", "/vsicurl/https://example.org/b.tif",
        str(tmp_path / "c.tif"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "as JSON"),
        ("[1]", "neither a STAC item"),
        (json.dumps({"type": "Catalog", "links": []}), "a STAC Catalog"),
        (json.dumps({"classes": []}), "neither a STAC item"),
        (json.dumps(collection()), "no items"),
        (json.dumps(collection(item("a", B02=asset("b.tif", "data"), B03=asset("c.tif", "data")))), "B02, B03"),
        (json.dumps(item("a")), "it has: none"),
    ],
)
def test_what_is_no_list_of_pictures_is_one_line(tmp_path: Path, content: str, part: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(RssegError, match=part) as caught:
        scene_inputs(str(tmp_path / "a.json"))
    assert "a.json" in str(caught.value)
    assert "\n" not in str(caught.value)


class Handler(BaseHTTPRequestHandler):
    """Three pages: the second is asked for by GET, the third by POST."""

    def do_GET(self) -> None:
        if "gone" in self.path:
            self.send_error(404)
            return
        name, following = "one", {"href": "?page=2"}
        if "page=2" in self.path:
            name, following = "two", {"href": "search", "method": "POST", "body": {"token": "3"}}
        elif "loop" in self.path:
            following = {"href": "?loop=1"}
        elif "away" in self.path:
            following = {"href": "file:///etc"}
        self._send(collection(item(name, visual=asset(f"{name}.tif")), links=[{"rel": "next", **following}]))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(collection(item(f"page{body['token']}", visual=asset("/three.tif"))))

    def _send(self, data: dict[str, Any]) -> None:
        text = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_all_pages_of_a_search(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scene_inputs(f"{api}/v1/search?collections=a") == [
        SceneInput(f"/vsicurl/{api}/v1/one.tif", "one"),
        SceneInput(f"/vsicurl/{api}/v1/two.tif", "two"),
        SceneInput(f"/vsicurl/{api}/three.tif", "page3"),
    ]
    assert len(scene_inputs(f"{api}/search?loop=1") or []) == 1, "a page that names itself ends it"
    with pytest.raises(UsageError, match="no web address"):
        scene_inputs(f"{api}/search?away=1")
    with pytest.raises(RssegError, match="404"):
        scene_inputs(f"{api}/gone.json")
    monkeypatch.setattr(stac_input, "MOST_ITEMS", 2)
    with pytest.raises(UsageError, match="more than 2 items; narrow"):
        scene_inputs(f"{api}/search")


def test_scenes_of_an_item_collection(run: Any, scene: Path, tmp_path: Path) -> None:  # noqa: F811
    items = [item(name, visual=asset(scene.name)) for name in ("first", "second")]
    (tmp_path / "items.json").write_text(json.dumps(collection(*items)))
    code, out, err = run(tmp_path / "items.json", "--json", "--polygons", "none")
    assert code == 0, err
    assert [done["name"] for done in json.loads(out)["scenes"]] == ["first", "second"]
    assert (tmp_path / "out" / "second.stac.json").exists()
