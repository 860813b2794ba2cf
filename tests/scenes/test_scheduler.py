"""Scenes on a cluster as one sets it up: a scheduler and workers that were started by themselves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed", reason="Dask is not installed")

from .test_run import pixels

START_S = 60


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """Address of a scheduler with two workers; everything ends with the test."""
    import distributed

    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli"]
    started = []

    def start(what: str, *arguments: str) -> None:
        command = [*dask[:2], f"distributed.cli.{what}", "--scheduler-file", str(file), "--no-dashboard", *arguments]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path))

    try:
        start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        for _ in range(2):
            start("dask_worker", "--nthreads", "1", "--no-nanny")
        with distributed.Client(scheduler_file=str(file), timeout=START_S, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=START_S)
            address = str(client.scheduler.address)
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:  # a worker that says goodbye to a scheduler that ends as well may wait
                process.kill()
                process.wait()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("rsseg-run"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_a_scheduler_of_its_own_gives_the_pixels_of_a_single_process(
    scheduler: str, scene: Path, cells: Path, tmp_path: Path
) -> None:
    options = [str(scene), "--model", str(cells), "--tile", "64", "--overlap", "32"]
    alone = run(*options, "-o", str(tmp_path / "alone"))
    assert alone.returncode == 0, alone.stderr
    together = run(*options, "-o", str(tmp_path / "together"), "--cluster", scheduler)
    assert together.returncode == 0, together.stderr
    names = {folder: sorted(p.name for p in (tmp_path / folder).iterdir()) for folder in ("alone", "together")}
    assert names["alone"] == names["together"]
    name = f"{scene.stem}.tif"
    assert np.array_equal(pixels(tmp_path / "together" / name), pixels(tmp_path / "alone" / name))


def test_no_scheduler_at_an_address_is_one_line(scene: Path, cells: Path, tmp_path: Path) -> None:
    answer = run(str(scene), "--model", str(cells), "-o", str(tmp_path / "out"), "--cluster", "tcp://127.0.0.1:9")
    assert answer.returncode == 1
    assert answer.stderr.strip().splitlines()[-1].startswith("error: no Dask scheduler at tcp://127.0.0.1:9")
    assert "Traceback" not in answer.stderr
