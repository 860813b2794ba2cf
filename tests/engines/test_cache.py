"""What is kept of engines, and what is told of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from rsseg_edge.cli.engines import print_engines
from rsseg_edge.engines.cache import EngineCache, Identity, Record

IDENTITY = Identity("a" * 64, "image 1x32x64x3", "TensorRT 10.3.0", "Orin", "8.7", 16, "b" * 64, "strongly typed")


def record(identity: Identity = IDENTITY, plan: bytes = b"plan", **changes: object) -> Record:
    made = Record(
        identity, "levels", "model.onnx", "2026-11-22T10:00:00Z", 61.4,
        hashlib.sha256(plan).hexdigest(), len(plan), 0.9996, 4,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    cache.keep(record(), b"plan")
    assert cache.find(IDENTITY) == (record(), b"plan")
    cache.keep(record(plan=b"another"), b"another")
    assert cache.find(IDENTITY) == (record(plan=b"another"), b"another")
    assert len(cache.records()) == 1
    assert [f.name for f in tmp_path.iterdir()] == [IDENTITY.key]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shapes": "image 1x64x64x3"}, "shapes image 1x64x64x3, the last build was for image 1x32x64x3"),
        ({"runtime": "TensorRT 11.4.1"}, "runtime TensorRT 11.4.1, the last build was for TensorRT 10.3.0"),
        ({"gpu": "Thor", "capability": "11.0"}, "gpu Thor, the last build was for Orin; capability 11.0, the last"),
        ({"processors": 8}, "processors 8, the last build was for 16"),
        ({"plugins": "c" * 64}, "the plugin library is another than at the last build"),
        ({"options": "none"}, "options none, the last build was for strongly typed"),
        ({"model": "c" * 64}, "there is none of this model yet"),
    ],
)
def test_each_thing_that_an_engine_depends_on_is_another_engine(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    cache = EngineCache(tmp_path)
    cache.keep(record(replace(IDENTITY, shapes="image 1x9x9x3", gpu="A", runtime="x")), b"plan")
    cache.keep(record(), b"plan")
    wanted = replace(IDENTITY, **change)  # type: ignore[arg-type]
    assert wanted.key != IDENTITY.key
    assert str(cache.find(wanted)).startswith(reason)


def test_a_record_that_was_moved_or_changed_is_not_believed(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    cache.keep(record(), b"plan")
    (tmp_path / IDENTITY.key).rename(tmp_path / "elsewhere")
    assert cache.records() == []
    assert cache.find(IDENTITY) == "there is none of this model yet"


def test_the_list_tells_what_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = EngineCache(tmp_path)
    print_engines(cache)
    assert capsys.readouterr().out.startswith("0 engines, 0 MB in ")
    cache.keep(record(), b"plan")
    cache.keep(record(replace(IDENTITY, processors=8), refused="parity gate: no"), b"")
    print_engines(cache)
    out = " ".join(capsys.readouterr().out.split())
    for part in ("levels", "TensorRT", "99.96", "refused", str(tmp_path), "2 engines"):
        assert part in out
