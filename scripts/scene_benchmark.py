"""Memory, speed and seams of scenes: makes large scenes in bands, runs rsseg-run on them, and prints one table.

    python scripts/scene_benchmark.py --sizes 10000,20000 --seams 4000 -o scene_benchmark

Peak memory is that of the whole process. Speed is what the network sees a second, overlaps and all, beside the bare
network on windows of the same size; with and without the windows that the survey before the first band looks at.
Seams: the same scene with its grid of windows moved by half a step; the share of pixels that get the same class.
``--scene`` takes one of your own for them. ``--scaling 3000``: one process beside workers of Dask, with one and two
threads.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine
from rasterio.windows import Window

import rsseg_edge
from rsseg_edge.datasets.scenes import generate_scene
from rsseg_edge.machine import available_cores
from rsseg_edge.scenes.gdal import environment
from rsseg_edge.scenes.run import SceneJob
from rsseg_edge.scenes.settings import OVERLAP, TILE, SceneRequest
from rsseg_edge.variants import PrecisionName

PATCH = 1000
PATCHES = 12
BORDER = 128
# The child says how much memory it had at most (ru_maxrss is in kB on Linux).
CHILD = """
import resource, sys
from rsseg_edge.cli.run import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def make_scene(path: Path, size: int) -> None:
    """A georeferenced scene of ``size`` pixels a side, from generated patches that are mirrored and turned."""
    patches = [generate_scene(seed, PATCH, PATCH, gsd=0.5).image for seed in range(PATCHES)]
    rng = np.random.default_rng(0)
    profile = {
        "driver": "GTiff", "width": size, "height": size, "count": 3, "dtype": "uint8", "crs": "EPSG:32640",
        "transform": Affine(0.5, 0, 330000, 0, -0.5, 2790000), "tiled": True, "blockxsize": 512, "blockysize": 512,
        "compress": "deflate", "interleave": "pixel", "bigtiff": "if_safer", "photometric": "rgb",
    }  # fmt: skip
    with environment(), rasterio.open(path, "w", **profile) as dataset:
        for top in range(0, size, PATCH):
            for left in range(0, size, PATCH):
                patch = np.rot90(patches[rng.integers(PATCHES)], rng.integers(4))
                patch = patch[:: rng.choice([-1, 1])][: size - top, : size - left]
                window = Window(left, top, patch.shape[1], patch.shape[0])
                dataset.write(np.ascontiguousarray(patch.transpose(2, 0, 1)), window=window)


def run(scene: Path, out: Path, *options: str) -> dict:
    """rsseg-run in a process of its own; its report, with ``peak_mb`` and ``wall`` seconds."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", CHILD, str(scene), "-o", str(out), "--overwrite", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=out.parent)
    if done.returncode:
        sys.exit(f"rsseg-run {scene} failed:\n{done.stderr}")
    report = json.loads((out / f"{scene.stem}.json").read_text())
    report["peak_mb"] = int(done.stderr.split()[-1]) / 1024
    report["wall"] = time.perf_counter() - begin
    return report


def bare_rate(
    model: str, precision: PrecisionName | None, threads: int | None, tile: int, seconds: float, at_once: int = 1
) -> float:
    """Pixels a second of the network alone, on windows that are in memory; 0 where it does not take so many at once."""
    segmenter = rsseg_edge.load(model, precision=precision, threads=threads or available_cores())
    segmenter.serve(at_once)
    if segmenter.at_once != at_once:
        return 0.0
    image = generate_scene(0, tile, tile, gsd=0.5).image
    queries = segmenter.queries(image)
    segmenter.start_scores(image, queries)()
    begin = time.perf_counter()

    def work(_: int) -> int:
        count = 0
        while time.perf_counter() - begin < seconds:
            segmenter.start_scores(image, queries)()
            count += 1
        return count

    with ThreadPoolExecutor(at_once) as pool:
        count = sum(pool.map(work, range(at_once)))
    return count * tile * tile / (time.perf_counter() - begin)


def seams(scene: Path, out: Path, model: str, threads: int | None, overlap: int, tile: int) -> tuple[float, float]:
    """Agreement of two grids of windows half a step apart, %: everywhere, and further than a halo from the border."""
    found = []
    for name, offset in (("still", 0), ("moved", (tile - overlap) // 2)):
        request = SceneRequest(
            model,
            out / "seams",
            tile=tile,
            overlap=overlap,
            offset=offset,
            polygons=(),
            threads=threads,
            overwrite=True,
        )
        SceneJob(request).run(str(scene), name)
        with rasterio.open(request.out / f"{name}.tif") as dataset:
            found.append(dataset.read(1))
    same = found[0] == found[1]
    return 100 * float(same.mean()), 100 * float(same[BORDER:-BORDER, BORDER:-BORDER].mean())


def scaling(scene: Path, out: Path, options: list[str]) -> None:
    """One process with one and two threads beside one and two workers of one thread each, in turn."""
    ways = {
        "1 process x 1 thread": ["--threads", "1"],
        "1 process x 2 threads": ["--threads", "2"],
        "1 worker x 1 thread": ["--threads", "1", "--workers", "1"],
        "2 workers x 1 thread": ["--threads", "1", "--workers", "2"],
    }
    base = 0.0
    reference = None
    for name, more in ways.items():
        report = run(scene, out / "scaling", "--polygons", "none", *options, *more)
        base = base or report["seconds"]
        with rasterio.open(out / "scaling" / f"{scene.stem}.tif") as dataset:
            class_map = dataset.read(1)
        reference = class_map if reference is None else reference
        same = 100 * float((reference == class_map).mean())
        print(f"{name}: {report['seconds']:.1f} s ({report['wall']:.1f} with its start), ", end="")
        print(f"{base / report['seconds']:.2f} x, {same:.4f} % of the classes are the first's", flush=True)


def main() -> None:
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,20000", help="sides of the scenes for memory and speed, pixels")
    parser.add_argument("--seams", type=int, default=0, help="side of the scene for seams, pixels; 0 leaves them out")
    parser.add_argument("--scene", type=Path, help="for seams, in place of a generated one")
    parser.add_argument("--scaling", type=int, default=0, help="side of the scene for workers; 0 leaves them out")
    parser.add_argument("--overlaps", default=f"0,{OVERLAP},{TILE // 2}", help="of the windows, for seams")
    parser.add_argument("--model", default="segclip-tiny")
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), help="[default: what rsseg-run takes here]")
    parser.add_argument("--tile", type=int, default=TILE)
    parser.add_argument("--threads", type=int, help="cores for the network")
    parser.add_argument("--bare-seconds", type=float, default=20, help="how long the bare network is measured")
    parser.add_argument("-o", "--out", type=Path, default=Path("scene_benchmark"))
    given = parser.parse_args()
    given.out = given.out.resolve()
    given.out.mkdir(parents=True, exist_ok=True)
    options = ["--model", given.model, *(["--threads", str(given.threads)] if given.threads else [])]
    options += ["--precision", given.precision] if given.precision else []
    print(f"{platform.machine()}, {platform.system()}, rsseg-edge, {given.model}, windows of {given.tile}")
    for size in [int(part) for part in given.sizes.split(",") if part]:
        scene = given.out / f"scene{size}.tif"
        if not scene.exists():
            make_scene(scene, size)
        # Before and after: a machine that is shared becomes faster and slower by the minute.
        bares = [bare_rate(given.model, given.precision, given.threads, given.tile, given.bare_seconds)]
        report = run(scene, given.out / f"out{size}", "--tile", str(given.tile), *options)
        bares.append(bare_rate(given.model, given.precision, given.threads, given.tile, given.bare_seconds))
        bare = sum(bares) / len(bares)
        engine = report["engine"]
        rate = engine["pixels"] / report["seconds"]
        inside = engine["pixels"] / engine["seconds"]
        in_bands = (engine["windows"] - engine["survey_windows"]) * given.tile**2 / report["seconds"]
        print(f"{size} x {size}: peak {report['peak_mb']:.0f} MB, {report['seconds']:.0f} s, ", end="")
        print(f"{size * size / report['seconds'] / 1e6:.2f} Mpixel/s, {report['polygons']} polygons;")
        print(f"  seen by the network {rate / 1e6:.2f} Mpixel/s over the whole run, ", end="")
        print(f"{inside / 1e6:.2f} while it works, {bare / 1e6:.2f} alone ", end="")
        print(f"({' and '.join(f'{rate / 1e6:.2f}' for rate in bares)}): {100 * rate / bare:.1f} %")
        two = bare_rate(given.model, given.precision, given.threads, given.tile, given.bare_seconds, 2)
        if two:
            print(f"  two windows at once alone: {two / 1e6:.2f} Mpixel/s, of which it is {100 * rate / two:.1f} %")
        print(f"  without the {engine['survey_windows']} windows of the survey: {100 * in_bands / bare:.1f} %")
    if given.scaling:
        scene = given.out / f"scene{given.scaling}.tif"
        if not scene.exists():
            make_scene(scene, given.scaling)
        scaling(scene, given.out, ["--model", given.model, "--tile", str(given.tile)])
    if given.seams or given.scene:
        scene = given.scene or given.out / f"seams{given.seams}.tif"
        if not scene.exists():
            make_scene(scene, given.seams)
        for overlap in [int(part) for part in given.overlaps.split(",")]:
            everywhere, inner = seams(scene, given.out, given.model, given.threads, overlap, given.tile)
            print(
                f"overlap {overlap}: {everywhere:.3f} % agree, {inner:.3f} % further than {BORDER} px from the border"
            )


if __name__ == "__main__":
    main()
