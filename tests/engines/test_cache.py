"""What is kept of engines, and what is told of them."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from rsseg_edge.cli.engines import print_engines
from rsseg_edge.engines.cache import EngineCache, Identity, Record
from rsseg_edge.errors import RssegError

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


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The disk fills up at the n-th file that is brought to it: the number in the list."""
    room, real = [0], os.fsync

    def fsync(file: int) -> None:
        if room[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= 1
        real(file)

    monkeypatch.setattr("rsseg_edge.engines.cache.os.fsync", fsync)
    return room


@pytest.mark.parametrize("files", [0, 1])
def test_a_disk_that_fills_up_keeps_the_engine_before_and_nothing_half(
    tmp_path: Path, full_disk: list[int], files: int
) -> None:
    cache = EngineCache(tmp_path)
    full_disk[0] = 2
    cache.keep(record(), b"plan")
    full_disk[0] = files  # neither fits, or the engine alone
    with pytest.raises(RssegError, match=r"engine cache .*: No space left on device; the engine is not kept"):
        cache.keep(record(plan=b"another"), b"another")
    assert cache.find(IDENTITY) == (record(), b"plan")
    assert [f.name for f in tmp_path.iterdir()] == [IDENTITY.key]


def test_timings_that_do_not_fit_leave_those_before(tmp_path: Path, full_disk: list[int]) -> None:
    cache = EngineCache(tmp_path)
    full_disk[0] = 1
    cache.keep_timings(IDENTITY, b"measured")
    cache.keep_timings(IDENTITY, b"measured again")  # without a word: the next build is slower, not wrong
    assert cache.read_timings(IDENTITY) == b"measured"
    assert len(list((tmp_path / ".timings").iterdir())) == 1


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
