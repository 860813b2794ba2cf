"""The edge side must run where the lab's packages are not installed, and importing it must cost nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import rsseg_edge

LAB = (
    "torch",
    "torchvision",
    "timm",
    "open_clip",
    "transformers",
    "lightning_fabric",
    "onnx",
    "onnxscript",
    "triton",
    "scipy",
)
HEAVY = (*LAB, "cv2", "av", "rasterio", "distributed", "onnxruntime", "pydantic", "numpy", "rich.progress")
HEAVY += ("tensorrt", "tensorrt_rtx", "pycuda")
BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError("not in the edge install: " + name, name=name)
sys.meta_path.insert(0, Block())
"""
EDGE = (
    "bundle",
    "errors",
    "job",
    "pipeline",
    "segmenter",
    "stages",
    "types",
    "doctor",
    "cli",
    "bench",
    "engines",
)
EDGE += (
    "kernels.registry",
    "maps",
    "polygons",
    "postprocess",
    "preprocess",
    "prompts",
    "scenes",
    "segmenters",
    "sinks",
    "sources",
    "telemetry",
)


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", "-c", code, *arguments], capture_output=True, text=True, check=False)


def edge_modules() -> list[str]:
    root = Path(rsseg_edge.__file__).parent
    modules = []
    for name in EDGE:
        path = root / Path(*name.split("."))
        files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
        modules += [".".join(("rsseg_edge", *f.relative_to(root).with_suffix("").parts)) for f in files]
    return [module.removesuffix(".__init__") for module in modules]


def test_every_edge_module_imports_without_the_lab() -> None:
    modules = edge_modules()
    assert len(modules) > 25
    code = BLOCK.format(blocked=set(LAB)) + f"import importlib\nfor m in {modules!r}: importlib.import_module(m)"
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_a_video_runs_without_the_lab(bundle: Path, tmp_path: Path, write_video) -> None:  # type: ignore[no-untyped-def]
    clip = write_video(tmp_path / "clip.mp4")
    code = BLOCK.format(blocked=set(LAB)) + "from rsseg_edge.cli.run import main; main()"
    done = python(code, str(clip), "--model", str(bundle), "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "overlay.mp4").exists()


@pytest.mark.parametrize("statement", ["import rsseg_edge", "import rsseg_edge.cli.run", "import rsseg_edge.cli.bench"])
def test_importing_costs_nothing_heavy(statement: str) -> None:
    done = python(f"{statement}; import sys; print([m for m in {HEAVY!r} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("export", "--model", "segclip-tiny", "-o", "x"), "export"),
        (("train", "segclip-tiny", "--data", "scenes"), "train"),
    ],
)
def test_a_command_of_the_lab_names_what_brings_its_libraries(command: tuple[str, ...], extra: str) -> None:
    code = BLOCK.format(blocked=set(LAB)) + f"from rsseg_edge.cli.{command[0]} import main; main()"
    done = python(code, *command[1:])
    assert done.returncode == 2
    assert re.fullmatch(rf"error: \w+ is not installed: pip install 'rsseg-edge\[{extra}\]'\n", done.stderr)


@pytest.mark.parametrize("name", ["run", "export", "train", "eval", "bench", "doctor"])
def test_help_loads_nothing_heavy(name: str) -> None:
    code = (
        f"import sys, atexit; from rsseg_edge.cli.{name} import main; sys.argv = ['rsseg-{name}', '--help'];"
        f"atexit.register(lambda: print([m for m in {HEAVY!r} if m in sys.modules])); main()"
    )
    done = python(code)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
    assert "--help" in done.stdout
