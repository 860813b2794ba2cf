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

from ..sanitizers import FLAGS, preloaded

SOURCE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """The library built with sanitizers, and what the child process needs to load it."""
    compiler, cmake = shutil.which("g++"), shutil.which("cmake")
    if not compiler or not cmake or not sys.platform.startswith("linux"):
        pytest.skip("building with sanitizers needs g++ and cmake on Linux")
    environment = preloaded(compiler)
    build = tmp_path_factory.mktemp("sanitized")
    configure = [cmake, "-S", SOURCE, "-B", build, f"-DCMAKE_CXX_FLAGS={FLAGS}", "-DCMAKE_BUILD_TYPE=Debug"]
    subprocess.run([*configure, "-DRSSEG_EMULATE_AVX512=ON"], check=True, capture_output=True)
    make = [cmake, "--build", build, "--target", "rsseg_ort_ops", "--parallel", "2"]
    subprocess.run(make, check=True, capture_output=True)
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
