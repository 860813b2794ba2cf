"""The ahead-of-time compiler, without a GPU."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("triton", reason="Triton is not installed")
pytest.importorskip("torch")

from rsseg_edge.kernels.aot.compile import compile_all
from rsseg_edge.kernels.aot.variants import PTX_CEILING, Variant, variants
from rsseg_edge.kernels.registry import ROOT

UPSAMPLE = Variant("adaptive_upsample_kernel", True, radius=5)


@pytest.mark.parametrize("arch", [80, 87, 89, 90, 110, 120])
def test_the_upsampler_compiles_to_tensor_core_instructions_without_spills(arch):
    (compiled,) = compile_all([UPSAMPLE], arch)
    assert compiled.spills == 0
    assert "mma" in compiled.ptx
    assert compiled.shared < 99 * 1024


@pytest.mark.parametrize("arch", [80, 87])
def test_shipped_ptx_is_complete_and_for_an_old_driver(arch):
    folder = ROOT / "ptx" / f"sm_{arch}"
    metadata = json.loads((folder / "kernels.json").read_text())
    assert set(metadata) == {v.name for v in variants()}
    for name, launch in metadata.items():
        text = (folder / f"{name}.ptx").read_text()
        version = next(line for line in text.splitlines() if line.startswith(".version"))
        assert int(version.split()[1].replace(".", "")) <= PTX_CEILING[arch]
        assert f".target sm_{arch}" in text
        assert f".entry {launch['entry']}(" in text
        numbers = " ".join(f"{key}={value}" for key, value in launch.items())
        assert text.splitlines()[0] == f"// rsseg {numbers}"


def test_an_unknown_architecture_is_refused_by_the_command_line(capsys, monkeypatch):
    from rsseg_edge.kernels.aot.__main__ import main

    monkeypatch.setattr("sys.argv", ["aot", "--arch", "sm_101"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "sm_101: choose from sm_80" in capsys.readouterr().err
