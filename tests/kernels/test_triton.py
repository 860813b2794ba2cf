"""The Triton kernels in the interpreter, on CPU tensors, against the references."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton", reason="Triton is not installed")

from rsseg_edge.kernels.cases import TOLERANCE, cases  # noqa: E402
from rsseg_edge.kernels.references import expected, relative_error  # noqa: E402
from rsseg_edge.kernels.registry import OPS  # noqa: E402

# The interpreter is slow: half precision on so many rows of the table, float32 on all.
HALF = 3
FUNCTIONS = {name: op.room for name, op in OPS.items() if op.triton}


@pytest.fixture(scope="module")
def children():
    """A process for every operator, all at once: Triton reads the variable once, when a kernel is defined."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    started = {
        op: subprocess.Popen(
            [sys.executable, __file__, op],
            env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for op in FUNCTIONS
    }  # fmt: skip
    yield started
    for child in started.values():
        child.kill()


@pytest.mark.parametrize("op", FUNCTIONS)
def test_kernel_agrees_with_the_reference_in_the_interpreter(children, op):
    said, _ = children[op].communicate()
    assert children[op].returncode == 0, said[-3000:]
    assert f"{len(cases(op)) + HALF} runs, 0 failures" in said


def table(op: str) -> None:
    from rsseg_edge.kernels import triton_ops

    function = getattr(triton_ops, FUNCTIONS[op])
    failures = runs = 0
    for i, case in enumerate(cases(op)):
        for dtype in ("float32", "float16") if i < HALF else ("float32",):
            inputs = [torch.from_numpy(x) for x in case.inputs(dtype).values()]
            got = function(*inputs, *case.attributes.values()).numpy()
            error = relative_error(got, expected(case, dtype))
            runs += 1
            if not error <= TOLERANCE[dtype]:
                failures += 1
                print(f"{case.id} {dtype}: error {error}")
    print(f"{runs} runs, {failures} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    table(sys.argv[1])
