"""What rsseg-export refuses before anything is loaded."""

from __future__ import annotations

import sys

import pytest

from rsseg_edge.cli.export import main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--precision", "int8"], "--precision int8 and --calibration PATH go together"),
        (["--calibration", "x.mp4"], "--precision int8 and --calibration PATH go together"),
        (["--target", "tensorrt"], "--target tensorrt is for --precision int8"),
        (["--target", "cpu", "--precision", "fp16"], "--target cpu is for --precision int8"),
        (
            ["--precision", "int8", "--calibration", "x", "--target", "triton-server"],
            "give that to --target triton-server as --model",
        ),
        (["--variant"], "--variant: bundle segclip-tiny is in fp32 itself"),
        (["--variant", "--target", "triton-server"], "--variant makes a bundle"),
        (["--variant", "--precision", "fp16", "--score", "dubai"], "leave --variant out"),
    ],
)
def test_options_that_do_not_go_together(arguments, told, monkeypatch, capsys, tmp_path) -> None:
    pytest.importorskip("torch", reason="export is the lab side: it needs torch")
    command = ["rsseg-export", "--model", "segclip-tiny", "-o", str(tmp_path / "out"), *arguments]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
