"""What is installed, what fits what, and the one command that mends each finding."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rsseg_edge import __version__
from rsseg_edge.bundle import open_bundle, shipped_bundles
from rsseg_edge.engines.base import EngineAbsentError
from rsseg_edge.engines.cache import EngineCache
from rsseg_edge.engines.cuda import Device
from rsseg_edge.engines.tensorrt import TENSORRT, TENSORRT_RTX, Flavour, import_runtime
from rsseg_edge.errors import RssegError
from rsseg_edge.kernels.registry import ROOT, ort_library, trt_library


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        about: what was looked at.
        found: what is there.
        remedy: the command that mends it; empty where nothing is amiss.
    """

    about: str
    found: str
    remedy: str = ""


def examine(cache: EngineCache | None = None) -> list[Finding]:
    """Look at this machine. Nothing is changed and nothing is built."""
    gpu, device = _gpu()
    found = [
        Finding("rsseg-edge", f"{__version__}, Python {platform.python_version()} on {platform.machine()}"),
        *_board(),
        gpu,
        *_onnxruntime(device),
        *_tensorrt(device),
        _runtime(TENSORRT_RTX, "rtx", wanted=False),
        Finding("OpenVINO", _version("openvino") or "not installed; --engine openvino would use it"),
        _engines(cache or EngineCache()),
        *_bundles(),
    ]
    if device is not None:
        device.close()
    return found


def _board() -> Iterator[Finding]:
    try:
        model = Path("/proc/device-tree/model").read_text().strip("\0\n ")
        release = Path("/etc/nv_tegra_release").read_text().splitlines()[0].strip("# ")
    except OSError:
        return
    yield Finding("board", f"{model}, {release}")


def _gpu() -> tuple[Finding, Device | None]:
    try:
        device = Device()
    except RssegError as error:
        present = any(Path(p).exists() for p in ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu"))
        return Finding("GPU", str(error), "pip install pycuda" if present and "pycuda" in str(error) else ""), None
    major, minor = device.capability
    kind = "in the host's memory" if device.integrated else "with memory of its own"
    text = f"{device.name}, compute capability {major}.{minor}, {device.processors} multiprocessors, {kind}"
    return Finding("GPU", text), device


def _onnxruntime(device: Device | None) -> Iterator[Finding]:
    import onnxruntime

    providers = [p.removesuffix("ExecutionProvider") for p in onnxruntime.get_available_providers()]
    cuda = device is None or "CUDA" in providers or importlib.util.find_spec("tensorrt") is not None
    remedy = "" if cuda else "pip uninstall -y onnxruntime && pip install onnxruntime-gpu"
    yield Finding("ONNX Runtime", f"{onnxruntime.__version__} ({', '.join(providers)})", remedy)
    both = {name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name)}
    if len(both) == 2:
        yield Finding(
            "ONNX Runtime",
            "both onnxruntime and onnxruntime-gpu are installed, in one folder",
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu",
        )
    library = ort_library()
    compile_it = f"{_as_root('apt-get install g++ cmake')} && pip install --force-reinstall --no-deps rsseg-edge"
    yield Finding(
        "CPU kernels", str(library or "not compiled: operators run by their bodies"), "" if library else compile_it
    )


def _tensorrt(device: Device | None) -> Iterator[Finding]:
    yield _runtime(TENSORRT, "jetson", wanted=device is not None)
    if device is None:
        return
    library = trt_library()
    install = _as_root("apt-get install libnvinfer-headers-dev")
    headers = f"{install} && pip install --force-reinstall --no-deps rsseg-edge"
    found = str(library or "not compiled, for want of TensorRT's headers: operators run by their bodies")
    yield Finding("TensorRT plugins", found, "" if library else headers)
    major, minor = device.capability
    own = ROOT / "ptx" / f"sm_{major}{minor}"
    if own.is_dir():
        yield Finding("GPU kernels", f"PTX for sm_{major}{minor}")
    elif major >= 8:
        # Not of the environment that is active: root has another python.
        compiler = f"{shlex.quote(sys.executable)} -m rsseg_edge.kernels.aot"
        remedy = f"{compiler} --arch sm_{major}{minor} --out {shlex.quote(str(ROOT / 'ptx'))}"
        if not os.access(ROOT, os.W_OK):
            remedy = _as_root(remedy)
        yield Finding(
            "GPU kernels", f"PTX for sm_80, which a GPU of {major}.{minor} runs less well than its own", remedy
        )
    else:
        yield Finding("GPU kernels", f"none for compute capability {major}.{minor}: 8.0 is the least")


def _runtime(flavour: Flavour, extra: str, *, wanted: bool) -> Finding:
    try:
        return Finding(flavour.title, str(import_runtime(flavour).__version__))
    except EngineAbsentError as error:
        return Finding(flavour.title, str(error), f"pip install 'rsseg-edge[{extra}]'" if wanted else "")


def _engines(cache: EngineCache) -> Finding:
    records = cache.records()
    refused = sum(bool(record.refused) for record in records)
    text = f"{len(records) - refused} kept, {refused} refused, in {cache.root}"
    folder = cache.root
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        return Finding(
            "engines", f"{text}, which cannot be written", _as_root(f"chown -R $USER {shlex.quote(str(folder))}")
        )
    return Finding("engines", text)


def _bundles() -> Iterator[Finding]:
    for name in shipped_bundles():
        try:
            bundle = open_bundle(name)
            for file in bundle.manifest.files:
                bundle.read(file)
        except RssegError as error:
            yield Finding("bundle", str(error), "pip install --force-reinstall --no-deps rsseg-edge")
        else:
            yield Finding("bundle", f"{name}, {bundle.manifest.precision.name}: files as they should be")


def _as_root(command: str) -> str:
    """A command that takes root, for whoever is asked to run it: containers run as root, and have no sudo."""
    return command if not hasattr(os, "geteuid") or os.geteuid() == 0 else f"sudo {command}"


def _version(package: str) -> str:
    """Empty where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
