"""What a board is set up by names commands, options, extras and exit codes that exist."""

from __future__ import annotations

import importlib
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import typer

from rsseg_edge.cli import INTERRUPTED
from rsseg_edge.errors import UsageError

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "scripts" / "board" / "rsseg-run.service"
DOCKERFILE = ROOT / "scripts" / "board" / "Dockerfile"
GUIDE = ROOT / "rsseg_edge" / "engines" / "JETSON.md"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
COMMAND = re.compile(r"(?:^|[\s/])(rsseg-(?:run|export|train|eval|bench|doctor))(?=\s)([^|;#'\n]*)", re.MULTILINE)


def options_of(command: str) -> set[str]:
    module, _ = PROJECT["scripts"][command].split(":")
    parameters = typer.main.get_command(importlib.import_module(module).app).params
    return {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def assert_options_exist(text: str) -> int:
    """Every option behind a command of ours is one of that command's; returns how many there were."""
    count = 0
    for command, rest in COMMAND.findall(text):
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest):
            assert option in options_of(command), f"{command} has no option {option}"
            count += 1
    return count


def test_the_unit_runs_a_command_with_options_that_it_has() -> None:
    (start,) = settings()["ExecStart"]
    assert "/rsseg-run " in start
    assert assert_options_exist(start.replace("$$(date -u", "$$(date")) == 2


def test_the_unit_knows_the_exit_codes_and_the_signal() -> None:
    unit = settings()
    assert str(UsageError.exit_code) in unit["RestartPreventExitStatus"][0].split()
    assert unit["SuccessExitStatus"] == [str(INTERRUPTED)]
    assert unit["KillSignal"] == [signal.SIGINT.name]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed (apt install systemd)")
def test_systemd_takes_the_unit() -> None:
    ran = subprocess.run(["systemd-analyze", "verify", "--man=no", UNIT], capture_output=True, text=True)
    newer = ("'RestartSteps'", "'RestartMaxDelaySec'")  # unknown before 254, and passed over there
    about = [line for line in ran.stderr.splitlines() if UNIT.name in line and not any(key in line for key in newer)]
    assert (ran.returncode, about) == (0, [])


def test_the_image_is_made_of_what_is_there() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    extras = {name for group in re.findall(r"'\.\[([a-z,]+)\]'", text) for name in group.split(",")}
    assert extras
    assert extras <= PROJECT["optional-dependencies"].keys()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert set(PYPROJECT["tool"]["scikit-build"]["wheel"]["packages"].values()) <= set(copied)
    (entry,) = re.findall(r'^ENTRYPOINT \["/opt/rsseg/bin/([a-z-]+)"\]$', text, re.MULTILINE)
    assert entry in PROJECT["scripts"]
    last = text[text.rindex("\nFROM ") :]
    (user,) = re.findall(r"^USER (\S+)$", last, re.MULTILINE)
    assert user not in ("root", "0")
    assert f" {user}" in last[: last.index("\nUSER ")]


def test_the_guide_names_what_exists() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert assert_options_exist(text) >= 5
    for group in re.findall(r"'\.\[([a-z,]+)\]'", text):
        assert set(group.split(",")) <= PROJECT["optional-dependencies"].keys()
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (GUIDE.parent / link).is_file(), link
    arguments = re.search(r"^ *RSSEG_OPTIONS=(.+)$", text, re.MULTILINE)
    assert arguments
    assert assert_options_exist(f"rsseg-run {arguments[1]}") == 2
