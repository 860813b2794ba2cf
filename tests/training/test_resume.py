"""A run that is killed goes on as if nothing had happened, and leaves no half-written file."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from rsseg_edge.errors import RssegError, UsageError  # noqa: E402
from rsseg_edge.training import checkpoint  # noqa: E402
from rsseg_edge.training.checkpoint import LAST, MODEL, load_state  # noqa: E402
from rsseg_edge.training.history import History  # noqa: E402

FINAL = {LAST, MODEL, "log.csv", "curves.png"}


class Killed(BaseException):
    """As abrupt as SIGKILL for what is under test: nothing catches it."""


@pytest.fixture(autouse=True)
def quick_picture(monkeypatch):
    """A picture costs more than ten of these steps."""

    def draw(self):
        checkpoint.write_atomically(self._picture, lambda path: path.write_bytes(b"picture"))

    monkeypatch.setattr(History, "draw", draw)


def curve(folder):
    """Everything in the log but the clock."""
    with open(folder / "log.csv", newline="") as file:
        return [(row["step"], row["loss"], row["lr"], row["mIoU"]) for row in csv.DictReader(file)]


def weights(folder):
    return safetensors.load_file(folder / MODEL)


def assert_same_run(folder, reference):
    assert curve(folder) == curve(reference)
    ours, theirs = weights(folder), weights(reference)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def uninterrupted(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    small.run(folder)  # with the real picture: module fixtures come before the quick one
    return folder


def test_a_run_leaves_its_four_files(uninterrupted):
    assert {p.name for p in uninterrupted.iterdir()} == FINAL
    rows = curve(uninterrupted)
    assert [int(step) for step, *_ in rows] == list(range(1, 7))
    assert [int(step) for step, _, _, miou in rows if miou] == [3, 6]
    assert (uninterrupted / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_run_twice_is_the_same(small, uninterrupted, tmp_path):
    small.run(tmp_path)
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.parametrize("moment", [2, 3, 5, 7, 9])
def test_killed_between_any_two_files(small, uninterrupted, tmp_path, monkeypatch, moment):
    """Just before the n-th file is put in its place: 1 log, 2 checkpoint, 3 model, 4 picture, 5 checkpoint, ..."""
    left, replace = [moment], os.replace

    def replace_and_die(source, target):
        left[0] -= 1
        if not left[0]:
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "replace", replace_and_die)
        with pytest.raises(Killed):
            small.run(tmp_path)
    assert not left[0]
    if (tmp_path / LAST).exists():
        load_state(tmp_path / LAST)
    small.run(tmp_path)
    assert_same_run(tmp_path, uninterrupted)
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith(".")} == FINAL


def test_killed_by_signal_at_a_random_moment(small, tmp_path):
    steps, killed, whole = 400, tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    process = subprocess.Popen([sys.executable, str(Path(small.__file__)), str(killed), str(steps)])
    try:
        deadline = time.monotonic() + 120
        while not (killed / LAST).exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.7))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    rows = len(curve(killed))
    state = load_state(killed / LAST)
    assert state["step"] <= rows < steps, "killed too late to test anything"
    if (killed / MODEL).exists():
        weights(killed)

    def stop(step, loss, miou):
        if step == rows + 5:
            raise Killed

    for folder in (whole, killed):
        with pytest.raises(Killed):
            small.run(folder, recipe=small.small_recipe(steps=steps, validate_every=20), progress=stop)
    assert [step for step, *_ in curve(killed)] == [str(i) for i in range(1, rows + 6)]
    assert curve(killed) == curve(whole)


def test_a_finished_run_is_not_run_again(small, uninterrupted, tmp_path):
    for path in uninterrupted.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    steps = []
    small.run(tmp_path, progress=lambda *step: steps.append(step))
    assert steps == []
    assert_same_run(tmp_path, uninterrupted)


def test_restart_begins_anew(small, uninterrupted, tmp_path):
    small.run(tmp_path, seed=4, recipe=small.small_recipe(steps=2))
    small.run(tmp_path, resume=False)
    assert_same_run(tmp_path, uninterrupted)


def copy_checkpoint(uninterrupted, folder):
    (folder / LAST).write_bytes((uninterrupted / LAST).read_bytes())


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 4}, "seed differ"), ({"recipe": {"lr": 1e-2}}, "recipe differ"), ({"classes": 1}, "data differ")],
)
def test_the_checkpoint_of_another_run_is_refused(small, uninterrupted, tmp_path, change, named):
    copy_checkpoint(uninterrupted, tmp_path)
    options = {"seed": change.get("seed", 3), "recipe": small.small_recipe(**change.get("recipe", {}))}
    if "classes" in change:
        data = small.Samples(small.scenes(1))
        data.classes = small.ClassTable(("roof", *small.NAMES[1:]), small.CLASSES.colors)
        options["data"] = [(data, 1.0)]
    with pytest.raises(UsageError, match=rf"{named}.*-o.*--restart"):
        small.run(tmp_path, **options)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "empty", "pickle", "partial"])
def test_a_damaged_checkpoint_is_refused(small, uninterrupted, tmp_path, damage):
    copy_checkpoint(uninterrupted, tmp_path)
    path = tmp_path / LAST
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":  # in the middle of the weights
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    elif damage == "text":
        path.write_text("step 3")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "pickle":
        torch.save({"identity": Path("x"), "step": 1}, path)
    else:
        state = load_state(path)
        torch.save({key: state[key] for key in ("identity", "step", "task")}, path)
    before = path.read_bytes()
    with pytest.raises(RssegError, match=str(path)) as error:
        small.run(tmp_path)
    assert error.value.exit_code == 1
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before


def test_rows_after_the_checkpoint_are_dropped_even_if_torn(small, uninterrupted, tmp_path):
    copy_checkpoint(uninterrupted, tmp_path)
    (tmp_path / "log.csv").write_bytes((uninterrupted / "log.csv").read_bytes() + b"7,1.0,0.001,0.1,\r\n8,0.")
    small.run(tmp_path)
    assert curve(tmp_path) == curve(uninterrupted)
