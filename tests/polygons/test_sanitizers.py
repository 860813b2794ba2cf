"""The compiled polygons under AddressSanitizer and UndefinedBehaviorSanitizer, and before clang-tidy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..sanitizers import FLAGS, preloaded

SOURCES = Path(__file__).parents[2] / "rsseg_edge" / "polygons" / "compiled"
CHILD = """
import sys
sys.path.append(sys.argv[2])
import numpy as np
from pathlib import Path
from rsseg_edge.polygons import native
native.compiled_library = lambda name: Path(sys.argv[1])
from tests.polygons.maps import blocks, class_map, noise
found = 0
for make in (blocks, class_map, noise, lambda h, w, seed: np.full((h, w), 255, np.uint8)):
    for seed, (height, width) in enumerate([(150, 131), (64, 200), (1, 40), (40, 1), (1, 1)]):
        for tolerance in (0.0, 1.0):
            classes = make(height, width, seed)
            made = native.Polygonizer(np.ones(height), width, tolerance)
            parts = [classes[top : top + 30] for top in range(0, height, 30)]
            regions = [made.add(part, native.find_runs(part, part)) for part in parts] + [made.finish()]
            found += sum(len(native.wkb(part, (1, 1), (0, 0))) for part in regions)
print(found, "regions")
"""


def test_no_finding_on_any_map(tmp_path: Path) -> None:
    if not shutil.which("g++") or not sys.platform.startswith("linux"):
        pytest.skip("building with sanitizers needs g++ on Linux")
    environment = preloaded("g++")
    library = tmp_path / "librsseg_polygons.so"
    build = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", *FLAGS.split(), "-fPIC", "-shared", "-o", library]
    subprocess.run([*build, *sorted(SOURCES.glob("*.cpp"))], check=True)
    child = [sys.executable, "-c", CHILD, library, Path(__file__).parents[2]]
    # Not from the checkout, where the mapped folders are no part of the package.
    ran = subprocess.run(child, env={**os.environ, **environment}, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, f"{ran.stdout[-2000:]}{ran.stderr[-4000:]}"
    assert "runtime error" not in ran.stderr
    assert int(ran.stdout.split()[0]) > 1000


@pytest.mark.skipif(not shutil.which("clang-tidy"), reason="clang-tidy is not installed (apt install clang-tidy)")
@pytest.mark.parametrize("source", sorted(path.name for path in SOURCES.glob("*.cpp")))
def test_clang_tidy_finds_no_bug_pattern(source: str) -> None:
    checks = ["--quiet", "--checks=-*,bugprone-*,-bugprone-easily-swappable-parameters", "--warnings-as-errors=*"]
    child = ["clang-tidy", *checks, "--header-filter=/compiled/", SOURCES / source, "--", "-std=c++17"]
    ran = subprocess.run(child, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
