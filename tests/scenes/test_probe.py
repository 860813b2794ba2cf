from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rsseg_edge.errors import UsageError
from rsseg_edge.scenes.probe import scene_inputs


def paths(where: str) -> list[str]:
    found = scene_inputs(where)
    assert found is not None
    return [scene.path for scene in found]


@pytest.mark.parametrize("options", [{}, {"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}])
def test_a_tiff_with_a_georeference_is_a_scene(write_scene: Callable[..., Path], tmp_path: Path, options: dict) -> None:
    values = np.zeros((3, 9, 9), np.uint8)
    path = write_scene(tmp_path / "a.tif", values, **options)
    assert paths(str(path)) == [str(path)]
    plain = write_scene(tmp_path / "b.tif", values, crs=None, transform=None, **options)
    assert scene_inputs(str(plain)) is None
    assert paths(str(tmp_path / "?.tif")) == [str(path), str(plain)]
    (tmp_path / "c.jpg").write_bytes(b"")
    assert scene_inputs(str(tmp_path / "*")) is None


def test_urls_are_read_by_gdal() -> None:
    assert paths("s3://bucket/a/b.tif") == ["/vsis3/bucket/a/b.tif"]
    assert paths("https://example.org/a.tif?sig=1") == ["/vsicurl/https://example.org/a.tif?sig=1"]
    assert paths("/vsicurl/https://example.org/a") == ["/vsicurl/https://example.org/a"]
    assert scene_inputs("https://example.org/stream.mp4") is None


def test_a_list_names_scenes(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"")
    (tmp_path / "list.txt").write_text("# mine\na.tif\n\ns3://bucket/b.tif\n")
    assert paths(str(tmp_path / "list.txt")) == [str(tmp_path / "a.tif"), "/vsis3/bucket/b.tif"]
    (tmp_path / "list.txt").write_text("gone.tif\n")
    with pytest.raises(UsageError, match=r"gone\.tif"):
        scene_inputs(str(tmp_path / "list.txt"))
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(UsageError, match="no scenes"):
        scene_inputs(str(tmp_path / "list.txt"))


@pytest.mark.parametrize("data", [b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff" + bytes(20), b"MM\0+" + b"\xff" * 30])
def test_a_damaged_tiff_is_no_scene(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(data)
    assert scene_inputs(str(tmp_path / "a.tif")) is None
