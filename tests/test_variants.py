"""A bundle's graphs in other precisions: which of them is run, where, and that none of them leaves the bundle."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the other graph is made with onnx")

import rsseg_edge  # noqa: E402
from rsseg_edge import machine, variants  # noqa: E402
from rsseg_edge.bundle import open_bundle  # noqa: E402
from rsseg_edge.errors import RssegError, UsageError  # noqa: E402
from rsseg_edge.variants import choose_precision, without_variants  # noqa: E402

FAST = {"processor": "some CPU", "vnni": True, "milliseconds": 20.0, "parent_milliseconds": 34.0}
Make = Callable[..., Path]


@pytest.fixture
def make(levels_bundle: Path, tmp_path: Path) -> Make:
    """A bundle whose int8 graph for a CPU knows two classes only, so that an answer tells who gave it."""

    def made(edit: Callable[[dict[str, Any]], object] = lambda manifest: None, **speed: Any) -> Path:
        folder = Path(shutil.copytree(levels_bundle, tmp_path / "copy"))
        graph = onnx.load(folder / "model.onnx")
        step = next(t for t in graph.graph.initializer if t.name == "step")
        step.CopyFrom(onnx.numpy_helper.from_array(np.array(128, np.int32), "step"))
        data = graph.SerializeToString()
        manifest = json.loads((folder / "bundle.json").read_text())
        manifest["variants"] = []
        for target, file in (("cpu", "model.int8.onnx"), ("tensorrt", "model.int8-tensorrt.onnx")):
            (folder / file).write_bytes(data)
            manifest["files"][file] = hashlib.sha256(data).hexdigest()
            variant = {"precision": {"name": "int8", "target": target}, "graphs": {"model.onnx": file}}
            manifest["variants"].append({**variant, "speed": {**FAST, **speed}})
        edit(manifest)
        (folder / "bundle.json").write_text(json.dumps(manifest))
        return folder

    return made


def highest(folder: Path, **options: Any) -> int:
    """Of white's class: 2 by the bundle's own graph, 1 by its variants."""
    segmenter = rsseg_edge.load(folder, engine="onnxruntime", **options)
    return int(segmenter(np.full((32, 32, 3), 255, np.uint8)).class_map.max())


@pytest.fixture
def vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "has_vnni", lambda: True)


@pytest.fixture
def no_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "has_vnni", lambda: False)


@pytest.mark.usefixtures("vnni")
def test_a_cpu_that_multiplies_bytes_gets_int8_and_is_told_why(make: Make) -> None:
    said: list[str] = []
    folder = make()
    assert highest(folder, say=said.append) == 1
    assert "precision: int8 (1.7 times as fast as fp32 on some CPU)" in said
    assert highest(folder, precision="fp32") == 2
    assert highest(folder, precision="int8") == 1


@pytest.mark.usefixtures("no_vnni")
def test_any_other_gets_the_bundles_own_unless_told_otherwise(make: Make) -> None:
    folder = make()
    assert highest(folder) == 2
    assert highest(folder, precision="int8") == 1


@pytest.mark.usefixtures("vnni")
@pytest.mark.parametrize(
    ("timed_on", "here", "levels"),
    [("avx512_vnni", "avx512_vnni", 1), ("avx512_vnni", "avx_vnni", 2), ("avx512_vnni", None, 2), (None, "asimddp", 1)],
)
def test_int8_is_the_default_where_bytes_are_multiplied_as_on_the_processor_that_timed_it(
    make: Make, monkeypatch: pytest.MonkeyPatch, timed_on: str | None, here: str | None, levels: int
) -> None:
    monkeypatch.setattr(variants, "byte_products", lambda: here)
    assert highest(make(byte_products=timed_on)) == levels


@pytest.mark.usefixtures("vnni")
@pytest.mark.parametrize("speed", [{"vnni": False}, {"vnni": None}, {"milliseconds": 40.0}])
def test_int8_that_was_not_faster_on_such_a_cpu_is_not_the_default(make: Make, speed: dict[str, Any]) -> None:
    assert highest(make(**speed)) == 2


@pytest.mark.usefixtures("vnni")
def test_a_gpu_gets_the_form_that_it_takes(make: Make) -> None:
    bundle = open_bundle(make())
    assert choose_precision(bundle, None, engine="tensorrt", on_cpu=False)[0].manifest.precision.name == "fp32"
    for engine, on_cpu, target in (("tensorrt", False, "tensorrt"), ("auto", False, "tensorrt"), ("auto", True, "cpu")):
        chosen, _ = choose_precision(bundle, "int8", engine=engine, on_cpu=on_cpu)
        assert chosen.manifest.precision.target == target


def test_what_a_bundle_lacks_is_said_with_the_command_that_makes_it(make: Make, levels_bundle: Path) -> None:
    with pytest.raises(UsageError, match=r"levels has no graphs in int8.*it has fp32: rsseg-export .*--calibration"):
        rsseg_edge.load(levels_bundle, precision="int8")
    cpu_only = make(lambda m: m["variants"].pop())
    with pytest.raises(UsageError, match=r"it has fp32, int8 \(for cpu\): .* --target tensorrt"):
        choose_precision(open_bundle(cpu_only), "int8", engine="tensorrt-rtx", on_cpu=False)
    with pytest.raises(UsageError, match="no graphs in fp16"):
        rsseg_edge.load(cpu_only, precision="fp16")


def test_a_chosen_variant_hides_the_others_and_keeps_their_checksums(make: Make) -> None:
    folder = make()
    bundle, _ = choose_precision(open_bundle(folder), "int8", engine="auto", on_cpu=True)
    assert list(bundle.manifest.files) == ["model.onnx"]
    assert bundle.read("model.onnx") == (folder / "model.int8.onnx").read_bytes()
    assert without_variants(bundle).read("model.onnx") == bundle.read("model.onnx")
    (folder / "model.int8.onnx").write_bytes(b"other")
    with pytest.raises(RssegError, match=r"model\.int8\.onnx does not match its checksum"):
        bundle.read("model.onnx")
    (folder / "model.int8.onnx").unlink()
    (folder / "model.int8.onnx").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(RssegError, match="link that leaves the bundle"):
        bundle.read("model.onnx")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m["variants"][0]["graphs"].update({"model.onnx": "../x.onnx"}), r"'\.\./x\.onnx' is not one of"),
        (lambda m: m["files"].pop("model.int8.onnx"), r"'model\.int8\.onnx' is not one of the files"),
        (lambda m: m["variants"][0]["graphs"].update({"text.onnx": "model.onnx"}), r"'text\.onnx' is not one of"),
        (lambda m: m["variants"][0].update(reports=["report.html"]), r"'report\.html' is not one of the files"),
        (lambda m: m["variants"][0].update(graphs={}), "graphs"),
    ],
)
def test_a_manifest_whose_variants_are_not_in_it_is_refused(
    make: Make, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(RssegError, match=message):
        open_bundle(make(edit))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("flags\t\t: fpu avx2 avx_vnni fma\n", "avx_vnni"),
        ("flags\t\t: fpu avx_vnni avx512_vnni\n", "avx512_vnni"),
        ("flags\t\t: fpu avx2\n", ""),
        ("Features\t: fp asimd asimddp\n", "asimddp"),
        ("Features\t: fp asimd\n", ""),
        ("", None),
    ],
)
def test_the_processor_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, found: str | None) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    assert machine.has_vnni() is (None if found is None else bool(found))
    assert machine.byte_products() == (found or None)


def test_a_shipped_bundle_finds_its_int8_in_a_bundle_of_its_own(
    make: Make, levels_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped"
    shutil.copytree(levels_bundle, shipped / "levels")
    chosen, _ = choose_precision(open_bundle(make()), "int8", engine="auto", on_cpu=True)
    made = chosen.manifest.model_copy(update={"name": "levels-int8"})
    (shipped / "levels-int8").mkdir()
    (shipped / "levels-int8" / "model.onnx").write_bytes(chosen.read("model.onnx"))
    (shipped / "levels-int8" / "bundle.json").write_text(made.model_dump_json())
    bundle = open_bundle(shipped / "levels")

    def taken(precision: Any = None, on_cpu: bool = True) -> tuple[str, str]:
        found, why = choose_precision(bundle, precision, engine="auto", on_cpu=on_cpu)
        return found.manifest.name, why

    monkeypatch.setattr(variants, "has_vnni", lambda: True)
    assert taken() == ("levels", "")  # not among the shipped ones: its neighbours are none of its business
    monkeypatch.setattr(variants, "SHIPPED", shipped)
    assert taken() == ("levels-int8", "1.7 times as fast as fp32 on some CPU")
    assert taken("fp32") == ("levels", "")
    assert taken("int8") == ("levels-int8", "")
    assert taken(on_cpu=False) == ("levels", "")
    with pytest.raises(UsageError, match="no graphs in int8"):
        taken("int8", on_cpu=False)
    monkeypatch.setattr(variants, "has_vnni", lambda: False)
    assert taken() == ("levels", "")
    assert taken("int8") == ("levels-int8", "")
