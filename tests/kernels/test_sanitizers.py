"""The CPU kernels under AddressSanitizer and UndefinedBehaviorSanitizer: the whole table at every vector width."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")

from rsseg_edge.kernels.cases import cases, tolerance
from rsseg_edge.kernels.references import expected
from rsseg_edge.kernels.registry import OPS
from rsseg_edge.kernels.single_op import single_op_model

SOURCE = Path(__file__).parents[2]
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -O1 -g1"


def runtime(compiler: str, name: str) -> str | None:
    """Path of a sanitizer's library, which must be loaded before Python's own."""
    found = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    path = Path(found.stdout.strip())
    return str(path) if path.is_absolute() and path.exists() else None


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """The library built with sanitizers, and what the child process needs to load it."""
    compiler, cmake = shutil.which("g++"), shutil.which("cmake")
    if not compiler or not cmake or not sys.platform.startswith("linux"):
        pytest.skip("building with sanitizers needs g++ and cmake on Linux")
    preload = [runtime(compiler, name) for name in ("libasan.so", "libubsan.so")]
    if None in preload:
        pytest.skip("the compiler has no sanitizer libraries")
    build = tmp_path_factory.mktemp("sanitized")
    configure = [cmake, "-S", SOURCE, "-B", build, f"-DCMAKE_CXX_FLAGS={FLAGS}", "-DCMAKE_BUILD_TYPE=Debug"]
    subprocess.run([*configure, "-DRSSEG_EMULATE_AVX512=ON"], check=True, capture_output=True)
    make = [cmake, "--build", build, "--target", "rsseg_ort_ops", "--parallel", "2"]
    subprocess.run(make, check=True, capture_output=True)
    # numpy and ONNX Runtime keep memory until the process ends: leaks are theirs to report.
    environment = {"LD_PRELOAD": ":".join(filter(None, preload)), "ASAN_OPTIONS": "detect_leaks=0"}
    return next(build.rglob("librsseg_ort_ops.so")), environment


def test_no_finding_on_any_row_of_the_table(sanitized, tmp_path):
    library, environment = sanitized
    for op in OPS:
        for case in cases(op):
            for dtype in ("float32", "float16"):
                name = tmp_path / f"{case.id}-{dtype}"
                name.with_suffix(".onnx").write_bytes(single_op_model(case, dtype, body=False))
                extra = {"expected": expected(case, dtype), "tolerance": np.array(tolerance(op, dtype))}
                np.savez(name.with_suffix(".npz"), **case.inputs(dtype), **extra)
    child = [sys.executable, Path(__file__).with_name("sanitized_table.py"), library, tmp_path]
    ran = subprocess.run(child, env={**os.environ, **environment}, capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.stdout[-2000:]}{ran.stderr[-4000:]}"
    assert "runtime error" not in ran.stderr
    assert " 0 failures" in ran.stdout
