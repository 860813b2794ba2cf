"""The report on a machine that is what the test makes of it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rsseg_edge import doctor
from rsseg_edge.engines.base import EngineAbsentError
from rsseg_edge.engines.cache import EngineCache
from rsseg_edge.errors import RssegError


def report(tmp_path: Path) -> dict[str, doctor.Finding]:
    return {finding.about: finding for finding in doctor.examine(EngineCache(tmp_path / "engines"))}


def test_a_machine_without_a_gpu_lacks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise RssegError("there is no NVIDIA GPU")

    monkeypatch.setattr(doctor, "Device", none)
    monkeypatch.setattr(doctor, "ort_library", lambda: Path("lib.so"))
    found = report(tmp_path)
    assert found["GPU"] == doctor.Finding("GPU", "there is no NVIDIA GPU")
    assert "CPU" in found["ONNX Runtime"].found
    assert found["engines"].found.startswith("0 kept, 0 refused, in ")
    assert "TensorRT plugins" not in found
    assert [f for f in found.values() if f.remedy] == []


def test_a_board_without_tensorrt_and_plugins_is_told_what_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(flavour: object) -> None:
        raise EngineAbsentError("TensorRT is not installed")

    closed: list[bool] = []
    thor = SimpleNamespace(
        name="Thor", capability=(11, 0), processors=20, integrated=True, close=lambda: closed.append(True)
    )
    monkeypatch.setattr(doctor, "Device", lambda: thor)
    monkeypatch.setattr(doctor, "import_runtime", absent)
    monkeypatch.setattr(doctor, "trt_library", lambda: None)
    found = report(tmp_path)
    assert found["GPU"].found == "Thor, compute capability 11.0, 20 multiprocessors, in the host's memory"
    assert found["TensorRT"].remedy == "pip install 'rsseg-edge[jetson]'"
    assert found["TensorRT-RTX"].remedy == ""
    assert "libnvinfer-headers-dev" in found["TensorRT plugins"].remedy
    assert "--arch sm_110" in found["GPU kernels"].remedy
    assert closed == [True]


@pytest.mark.parametrize(("user", "sudo"), [(1000, "sudo "), (0, "")])
def test_what_takes_root_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, sudo: str) -> None:
    orin = SimpleNamespace(name="Orin", capability=(8, 9), processors=16, integrated=True, close=lambda: None)
    monkeypatch.setattr(doctor, "Device", lambda: orin)
    monkeypatch.setattr(doctor, "trt_library", lambda: None)
    monkeypatch.setattr(doctor, "ort_library", lambda: None)
    monkeypatch.setattr(doctor, "ROOT", tmp_path / "another's")
    monkeypatch.setattr(doctor.os, "geteuid", lambda: user)
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    found = report(tmp_path)
    assert found["CPU kernels"].remedy.startswith(f"{sudo}apt-get install g++ cmake && pip install ")
    assert found["TensorRT plugins"].remedy.startswith(f"{sudo}apt-get install libnvinfer-headers-dev && pip ")
    assert found["engines"].remedy == f"{sudo}chown -R $USER {tmp_path}"
    assert found["GPU kernels"].remedy.startswith(sudo + sys.executable)
    assert found["GPU kernels"].remedy.endswith(f"--out '{tmp_path}/another'\"'\"'s/ptx'")
    assert not found["TensorRT"].remedy.startswith("sudo")  # pip installs into the environment at hand
