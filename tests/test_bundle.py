import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rsseg_edge.bundle import Bundle, open_bundle
from rsseg_edge.errors import RssegError, UsageError

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def edited(bundle: Path, tmp_path: Path) -> Callable[[Edit], Path]:
    """A copy of the bundle with its manifest changed."""

    def make(edit: Edit) -> Path:
        folder = Path(shutil.copytree(bundle, tmp_path / "copy"))
        manifest = json.loads((folder / "bundle.json").read_text())
        edit(manifest)
        (folder / "bundle.json").write_text(json.dumps(manifest))
        return folder

    return make


def test_a_bundle_opens_by_folder_and_by_manifest(bundle: Path) -> None:
    for path in (bundle, str(bundle), bundle / "bundle.json"):
        opened = open_bundle(path)
        assert opened.manifest.class_table().names == ("dark", "middle", "bright")
        assert hashlib.sha256(opened.read("model.onnx")).hexdigest() == opened.manifest.files["model.onnx"]


def test_every_flipped_byte_is_found(edited: Callable[[Edit], Path]) -> None:
    folder = edited(lambda manifest: None)
    good = (folder / "model.onnx").read_bytes()
    for position in (0, len(good) // 3, len(good) - 1):
        bad = bytearray(good)
        bad[position] ^= 0x10
        (folder / "model.onnx").write_bytes(bad)
        with pytest.raises(RssegError, match=r"bundle levels: model\.onnx does not match its checksum") as caught:
            open_bundle(folder).read("model.onnx")
        assert caught.value.exit_code == 1


def test_a_missing_file_is_named(edited: Callable[[Edit], Path]) -> None:
    folder = edited(lambda manifest: None)
    (folder / "model.onnx").unlink()
    with pytest.raises(RssegError, match=r"cannot read model\.onnx"):
        open_bundle(folder).read("model.onnx")


def test_a_link_out_of_the_bundle_is_refused(edited: Callable[[Edit], Path], bundle: Path) -> None:
    folder = edited(lambda manifest: None)
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(bundle / "model.onnx")
    with pytest.raises(RssegError, match="link that leaves the bundle"):
        open_bundle(folder).read("model.onnx")


@pytest.mark.parametrize("name", ["nothing-like-it", "../levels", ""])
def test_an_unknown_model_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="not a bundle"):
        open_bundle(name)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(schema_version=99), "schema version 99 is newer"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m.pop("classes"), "classes"),
        (lambda m: m["files"].update({"../outside": "0" * 64}), "outside the bundle"),
        (lambda m: m["files"].update({"/etc/passwd": "0" * 64}), "outside the bundle"),
        (lambda m: m["files"].update({"model.onnx": "zz"}), "not a SHA-256"),
    ],
)
def test_a_damaged_manifest_says_what_is_wrong(edited: Callable[[Edit], Path], edit: Edit, message: str) -> None:
    with pytest.raises(RssegError, match=message):
        open_bundle(edited(edit))


@pytest.mark.parametrize("content", ["", "[1, 2]", "{", "\xff"])
def test_a_manifest_that_is_none_is_one_line(bundle: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "bundle.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(RssegError, match="run rsseg-export again"):
        open_bundle(tmp_path)


def test_a_file_that_is_not_listed_is_not_read(bundle: Path) -> None:
    opened: Bundle = open_bundle(bundle)
    with pytest.raises(RssegError, match="does not list bundle"):
        opened.read("bundle.json")
