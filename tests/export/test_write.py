"""Bundles are put in place whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsseg_edge.bundle import ClassSpec, InputSpec, Manifest, open_bundle
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.export.write import checksums, write_bundle
from rsseg_edge.precision import Precision


def manifest(files: dict[str, bytes]) -> Manifest:
    return Manifest(
        name="b",
        model="segclip-tiny",
        config={},
        classes=(ClassSpec(name="a", color=(1, 2, 3)),),
        input=InputSpec(),
        precision=Precision(name="fp32"),
        files=checksums(files),
    )


def test_an_earlier_bundle_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        files = {"model.onnx": content}
        write_bundle(tmp_path / "b", manifest(files), files)
        assert open_bundle(tmp_path / "b").read("model.onnx") == content
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_failing_write_keeps_the_earlier_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"model.onnx": b"good"}
    write_bundle(tmp_path / "b", manifest(files), files)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RssegError, match="No space left"):
        write_bundle(tmp_path / "b", manifest(files), {"model.onnx": b"newer"})
    monkeypatch.undo()
    assert open_bundle(tmp_path / "b").read("model.onnx") == b"good"
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        write_bundle(tmp_path / "b", manifest({}), {})
