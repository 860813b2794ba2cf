"""A model repository against the server's own schema."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rsseg_edge.bundle import open_bundle, shipped_bundles
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.export.triton_server import write_repository


@pytest.fixture(scope="session")
def bundle(levels_bundle: Path) -> Path:
    """Not the trained one of this folder's other tests."""
    return levels_bundle


@pytest.fixture(scope="module")
def schema() -> Any:
    """``model_config.proto`` as tritonclient carries it, without the client around it."""
    pytest.importorskip("google.protobuf", reason="protobuf is not installed")
    package = importlib.util.find_spec("tritonclient")
    if package is None or not package.submodule_search_locations:
        pytest.skip("tritonclient is not installed (pip install tritonclient)")
    path = Path(package.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["model_config_pb2"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parsed(schema: Any, folder: Path) -> Any:
    from google.protobuf import text_format

    return text_format.Parse((folder / "config.pbtxt").read_text(), schema.ModelConfig())


@pytest.mark.parametrize("name", shipped_bundles())
def test_the_configuration_is_valid_and_says_what_the_graph_says(name: str, schema: Any, tmp_path: Path) -> None:
    session = pytest.importorskip("onnxruntime").InferenceSession
    bundle = open_bundle(name)
    write_repository(bundle, tmp_path / "repository", lambda line: None)
    folders = sorted((tmp_path / "repository").iterdir())
    assert len(folders) == sum(file.endswith(".onnx") for file in bundle.manifest.files)
    for folder in folders:
        config = parsed(schema, folder)
        assert config.name == folder.name
        assert config.platform == "onnxruntime_onnx"
        graph = session(folder / "1" / "model.onnx")
        for found, expected in ((config.input, graph.get_inputs()), (config.output, graph.get_outputs())):
            assert [tensor.name for tensor in found] == [value.name for value in expected]
            for tensor, value in zip(found, expected, strict=True):
                kind = schema.DataType.Name(tensor.data_type).removeprefix("TYPE_")
                assert kind.replace("FP32", "FLOAT") == value.type[7:-1].upper()
                assert list(tensor.dims) == [side if isinstance(side, int) else -1 for side in value.shape]


def test_labels_are_the_classes(bundle: Path, schema: Any, tmp_path: Path) -> None:
    write_repository(open_bundle(bundle), tmp_path, lambda line: None)
    assert (tmp_path / "levels" / "labels.txt").read_text() == "dark\nmiddle\nbright\n"
    outputs = {output.name: output for output in parsed(schema, tmp_path / "levels").output}
    assert outputs["class_map"].label_filename == "labels.txt"
    assert outputs["confidence"].label_filename == ""


def test_another_export_is_the_next_version(bundle: Path, tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        write_repository(open_bundle(bundle), tmp_path, said.append)
    assert said == [f"{tmp_path / 'levels'}: version 1", f"{tmp_path / 'levels'}: version 2"]
    assert sorted(f.name for f in (tmp_path / "levels").iterdir()) == ["1", "2", "config.pbtxt", "labels.txt"]


def test_a_folder_of_something_else_is_refused(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError, match="is no model repository"):
        write_repository(open_bundle(bundle), tmp_path, lambda line: None)


def test_a_full_disk_keeps_the_earlier_version(bundle: Path, small_disk: Path) -> None:
    write_repository(open_bundle(bundle), small_disk / "r", lambda line: None)
    with suppress(OSError), open(small_disk / "ballast", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    with pytest.raises(RssegError, match="No space left on device; its earlier versions are kept"):
        write_repository(open_bundle(bundle), small_disk / "r", lambda line: None)
    assert (small_disk / "r" / "levels" / "1" / "model.onnx").is_file()
    assert not list(small_disk.rglob("*.partial"))
