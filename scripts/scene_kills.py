"""rsseg-run killed by SIGKILL at random moments of a scene and started again, as JSON; or one of its workers killed.

    python scripts/scene_kills.py --kills 20
    python scripts/scene_kills.py --kills 5 --workers 2

After each kill every file that has its final name is read. After the run that follows (or, with --workers, after the
one whose worker was killed) the pixels of class map and confidence, the polygons with their attributes and the table
of areas are those of a run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyogrio.raw
import rasterio
from scene_benchmark import make_scene

PROGRAM = "from rsseg_edge.cli.run import main; main()"
WORKER = b"multiprocessing.spawn"


class Result:
    """What a run left, as far as it may not depend on kills."""

    def __init__(self, folder: Path, name: str) -> None:
        self.rasters = {}
        for kind in ("", ".confidence"):
            with rasterio.open(folder / f"{name}{kind}.tif") as dataset:
                self.rasters[kind] = dataset.read()
        _, _, shapes, fields = pyogrio.raw.read(folder / f"{name}.gpkg")
        self.polygons = sorted(zip(map(bytes, shapes), *(field.tolist() for field in fields), strict=True))
        self.areas = (folder / f"{name}.csv").read_bytes()

    def differs(self, other: Result) -> list[str]:
        """Names of what is not the same."""
        found = [f"raster{k}" for k in self.rasters if not np.array_equal(self.rasters[k], other.rasters[k])]
        found += ["polygons"] if self.polygons != other.polygons else []
        return found + (["areas"] if self.areas != other.areas else [])


def broken(folder: Path) -> list[str]:
    """Files under a final name that cannot be read to their end."""
    found = []
    for path in sorted(folder.glob("[!.]*")) if folder.is_dir() else []:
        try:
            if path.suffix == ".tif":
                with rasterio.open(path) as dataset:
                    dataset.read()
            elif path.suffix == ".gpkg":
                pyogrio.raw.read(path)
            elif path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix not in (".part", ".csv", ".png", ".html", ".xml"):
                found.append(f"{path.name}: unexpected")
        except (rasterio.RasterioIOError, pyogrio.errors.DataSourceError, ValueError) as error:
            found.append(f"{path.name}: {error}")
    return found


def start(command: list[str], out: Path) -> subprocess.Popen[bytes]:
    """rsseg-run in a process of its own."""
    nowhere = subprocess.DEVNULL
    return subprocess.Popen([*command, "-o", str(out)], stdout=nowhere, stderr=nowhere, cwd=out.parent)


def workers_of(parent: int) -> list[int]:
    """Processes of Dask's workers that a run has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found += [int(folder.name)] if WORKER in (folder / "cmdline").read_bytes() else []
        except (OSError, ValueError):
            continue
    return found


def finished_bands(out: Path, name: str) -> int:
    """Bands that the journals of a run say are on the disk."""
    count = 0
    for path in (out / f".{name}.work").glob("journal*"):
        with contextlib.suppress(OSError):  # it is finished, and its journal was deleted
            count += path.read_text().count("\n")
    return count


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, help="kill one of so many workers, not the whole run")
    parser.add_argument("--size", type=int, default=1500, help="side of the scene, pixels")
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--overlap", type=int, default=64)
    parser.add_argument("--model", default="segclip-tiny")
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("-o", "--out", type=Path, default=Path("scene_kills"))
    given = parser.parse_args()
    out, chance = given.out.resolve(), random.Random(given.seed)
    out.mkdir(parents=True, exist_ok=True)
    name = f"scene{given.size}"
    scene = out / f"{name}.tif"
    if not scene.exists():
        make_scene(scene, given.size)
    command = [sys.executable, "-c", PROGRAM, str(scene), "--model", given.model, "--confidence", "--threads", "1"]
    command += ["--tile", str(given.tile), "--overlap", str(given.overlap)]
    shutil.rmtree(out / "whole", ignore_errors=True)
    begin = time.perf_counter()
    if start(command, out / "whole").wait():
        raise SystemExit("the run that nobody disturbs failed")
    seconds = time.perf_counter() - begin
    if given.workers:
        command += ["--workers", str(given.workers)]
    reference = Result(out / "whole", name)
    bands = json.loads((out / "whole" / f"{name}.json").read_text())["bands"]
    told = []
    while len(told) < given.kills:
        folder = out / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        run = start(command, folder)
        # Bands and a part of the next one; before the first it is the start, after the last the writing of results.
        moment = chance.uniform(0, bands + 1)
        while run.poll() is None and finished_bands(folder, name) < int(moment):
            time.sleep(0.005)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(moment % 1 * seconds / bands)
            continue  # it had ended before it could be killed: another moment
        entry: dict[str, object] = {"moment": round(moment, 2), "bands_done": finished_bands(folder, name)}
        victims = workers_of(run.pid) if given.workers else [run.pid]
        if not victims:  # the workers are not there yet, or no more
            run.wait()
            continue
        os.kill(chance.choice(victims), signal.SIGKILL)
        if not given.workers:
            run.wait()
            entry["broken"] = broken(folder)
            run = start(command, folder)
        entry["exit"] = run.wait()
        entry["differs"] = Result(folder, name).differs(reference)
        told.append(entry)
        print(json.dumps(entry), file=sys.stderr)
    good = [e for e in told if e["exit"] == 0 and not e["differs"] and not e.get("broken")]
    print(json.dumps({"seconds": round(seconds, 2), "bands": bands, "kills": len(told), "identical": len(good)}))


if __name__ == "__main__":
    main()
