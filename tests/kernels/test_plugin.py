"""The TensorRT plugins without a GPU: compiled, questioned as a builder would, loaded into TensorRT-RTX's registry."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rsseg_edge.kernels.cases import cases
from rsseg_edge.kernels.registry import OPS, ROOT

PLUGINS = [op for op in OPS.values() if op.triton]
SOURCES = Path(__file__).parents[2] / "kernels"
PLUGIN_SOURCES = ["common/trt_plugin.cpp", "common/ptx_kernel.cpp", "common/cuda_driver.cpp"]
PLUGIN_SOURCES += sorted(path.relative_to(SOURCES).as_posix() for path in SOURCES.glob("*/plugin.cpp"))


def include_dir(package: str, header: str) -> Path | None:
    """Folder of a header that a wheel carries."""
    spec = importlib.util.find_spec(package)
    roots = spec.submodule_search_locations if spec else None
    return next((path.parent for root in roots or () for path in Path(root).rglob(header)), None)


@pytest.fixture(scope="module")
def headers():
    """TensorRT's headers (the wheel kernel-lens carries them) and the CUDA runtime's (Triton does)."""
    found = include_dir("kernel_lens", "NvInfer.h"), include_dir("triton", "cuda_runtime_api.h")
    if None in found or not shutil.which("g++") or not shutil.which("cmake"):
        pytest.skip("needs g++, cmake, and headers: pip install kernel-lens triton")
    return found


@pytest.fixture(scope="module")
def library(headers, tmp_path_factory):
    build = tmp_path_factory.mktemp("plugins")
    flags = [f"-DTENSORRT_INCLUDE_DIR={headers[0]}", f"-DCUDA_RUNTIME_INCLUDE_DIR={headers[1]}"]
    flags.append("-DCMAKE_CXX_FLAGS=-Werror")
    subprocess.run(["cmake", "-S", Path(__file__).parents[2], "-B", build, *flags], check=True, capture_output=True)
    made = subprocess.run(["cmake", "--build", build, "--target", "rsseg_trt_plugins"], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    return next(build.rglob("librsseg_trt_plugins.so"))


@pytest.fixture(scope="module")
def ask(headers, library, tmp_path_factory):
    """What a plugin answers to an operator's attribute and shapes."""
    driver = tmp_path_factory.mktemp("driver") / "driver"
    source = Path(__file__).with_name("plugin_driver.cpp")
    includes = [f"-isystem{path}" for path in headers]
    subprocess.run(["g++", "-std=c++17", *includes, source, "-o", driver, "-ldl"], check=True)

    def run(op: str, attribute: int, shapes) -> str:
        words = ["x".join(map(str, s)) for s in shapes]
        child = [driver, library, op, str(attribute), *words]
        return subprocess.run(child, check=True, capture_output=True, text=True).stdout.strip()

    return run


SHAPES = {
    "MaskedAttention": (8, [(2, 100, 256), (2, 300, 256), (2, 300, 256), (2, 100, 300)], "2x100x256", 0),
    "BilateralKernel": (5, [(1, 28, 36, 32), (121,), (1,)], "1x28x36x121", 0),
    "AdaptiveUpsample": (5, [(1, 14, 18, 512), (1, 28, 36, 121)], "1x28x36x512", 14 * 18 * 4 * 81 * 2),
    "AdaptiveUpsampleClassify": (
        3,
        [(1, 14, 18, 512), (1, 28, 36, 49), (512,), (7, 512)],
        "1x28x36x7",
        -(-14 * 18 * 4 * 49 * 2 // 256) * 256 + (14 * 18 + 1) * 7 * 2,
    ),
}


@pytest.mark.parametrize("op", SHAPES)
def test_shapes_workspace_and_formats(ask, op):
    attribute, shapes, output, workspace = SHAPES[op]
    expected = f"shape {output} accepted 1 workspace {workspace} formats fp32 fp16 mixed 0"
    assert ask(op, attribute, shapes) == expected


@pytest.mark.parametrize("op", SHAPES)
def test_output_shapes_are_those_of_the_reference(ask, op):
    torch = pytest.importorskip("torch")
    from rsseg_edge.kernels.references import REFERENCES

    for case in cases(op):
        inputs = case.inputs()
        want = REFERENCES[op](*map(torch.from_numpy, inputs.values()), *case.attributes.values()).shape
        answer = ask(op, *case.attributes.values(), [x.shape for x in inputs.values()])
        assert answer.split()[1] == "x".join(map(str, want))


@pytest.mark.parametrize(
    ("op", "attribute", "change"),
    [
        ("MaskedAttention", 7, {}),
        ("MaskedAttention", 8, {3: (2, 100, 299)}),
        ("BilateralKernel", 4, {}),
        ("BilateralKernel", 5, {0: (1, 5, 36, 32)}),
        ("AdaptiveUpsample", 5, {0: (1, 14, 18, 500)}),
        ("AdaptiveUpsample", 5, {1: (1, 28, 35, 121)}),
        ("AdaptiveUpsampleClassify", 3, {3: (7, 256)}),
        ("AdaptiveUpsample", 5, {0: (-1, 14, 18, 512)}),
    ],
)
def test_what_no_shipped_kernel_computes_is_refused(ask, op, attribute, change):
    shapes = [change.get(i, s) for i, s in enumerate(SHAPES[op][1])]
    assert " accepted 0 " in ask(op, attribute, shapes)


def test_a_wrong_rank_is_refused(ask):
    assert ask("AdaptiveUpsample", 5, [(14, 18, 512), (1, 28, 36, 121)]) == "shape refused"


def test_every_kernel_that_a_plugin_may_launch_ships():
    for arch in ("sm_80", "sm_87"):
        shipped = {path.stem for path in (ROOT / "ptx" / arch).glob("*.ptx")}
        for precision in ("fp16", "fp32"):
            names = [f"masked_attention_kernel_d{d}" for d in (16, 32, 64)]
            names += [f"{k}_r{r}" for r in (3, 5) for k in ("bilateral_kernel_kernel", "fold_kernel",
                      "adaptive_upsample_kernel", "adaptive_upsample_classify_kernel")]  # fmt: skip
            assert {f"{n}_{precision}" for n in [*names, "project_kernel"]} <= shipped


@pytest.mark.skipif(not shutil.which("clang-tidy"), reason="clang-tidy is not installed (apt install clang-tidy)")
@pytest.mark.parametrize("source", PLUGIN_SOURCES)
def test_clang_tidy_finds_no_bug_pattern(headers, source):
    includes = [f"-isystem{path}" for path in headers]
    checks = ["--quiet", "--checks=-*,bugprone-*", "--warnings-as-errors=*", "--header-filter=/kernels/"]
    child = ["clang-tidy", *checks, SOURCES / source, "--", "-std=c++17", "-Wall", "-Wextra", *includes]
    ran = subprocess.run(child, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]


CHILD = """
import sys, numpy as np, tensorrt_rtx as trt
trt.Logger(trt.Logger.ERROR)
registry = trt.get_plugin_registry()
registry.load_library(sys.argv[1])
for name, field in (item.split("=") for item in sys.argv[2:]):
    creator = registry.get_creator(name, "1", "rsseg")
    assert [f.name for f in creator.field_names] == [field]
    value = trt.PluginField(field, np.array([3], np.int32), trt.PluginFieldType.INT32)
    plugin = creator.create_plugin("one", trt.PluginFieldCollection([value]), trt.TensorRTPhase.BUILD)
    for kind in ("CORE", "BUILD", "RUNTIME"):
        assert plugin.get_capability_interface(getattr(trt.PluginCapabilityType, kind)) is not None
    assert plugin.get_capability_interface(trt.PluginCapabilityType.BUILD).num_outputs == 1
    assert creator.create_plugin("none", trt.PluginFieldCollection([]), trt.TensorRTPhase.BUILD) is None
    print(name, "ok")
"""


def test_tensorrt_rtx_loads_the_library_and_makes_plugins(library):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed (pip install tensorrt-rtx)")
    pairs = [f"{op.name}={op.attributes[0]}" for op in PLUGINS]
    ran = subprocess.run([sys.executable, "-c", CHILD, library, *pairs], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert ran.stdout.count("ok") == np.size(pairs)
