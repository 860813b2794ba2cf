"""Engines of TensorRT-RTX, ahead of time and for GPUs that are not at hand, beside the graph in a bundle."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsseg_edge.bundle import Bundle, EngineSpec, Manifest
from rsseg_edge.engines.onnx_file import read_signature
from rsseg_edge.engines.tensorrt_build import build
from rsseg_edge.errors import UsageError
from rsseg_edge.export.request import Say
from rsseg_edge.export.write import check_target, checksums, write_bundle

GRAPH, ENGINE = "model.onnx", "model.rtx.engine"

Capability = tuple[int, int]


def add_rtx_engine(bundle: Bundle, folder: Path, capabilities: Sequence[Capability], say: Say) -> Manifest:
    """Write a bundle with an engine of its graph for GPUs of some compute capabilities.

    The engine has not run: a ground station checks it against ONNX Runtime before it trusts it. A station whose size,
    GPU or version of TensorRT-RTX is another builds its own from the same bundle.

    Args:
        bundle: its graph takes one size.
        folder: of the new bundle; may be the old one.
        capabilities: for instance (8, 6) and (12, 0).
        say: told each step in a line.

    Raises:
        UsageError: TensorRT-RTX is not installed or knows no such GPU, or the graph's sides are free.
        BuildRefusedError: it does not take the graph.
        RssegError: the bundle is damaged or cannot be written.
    """
    check_target(folder)
    trt = _import()
    _check_known(trt, capabilities)
    manifest, model = bundle.manifest, bundle.read(GRAPH)
    signature = read_signature(model, f"bundle {manifest.name}")
    if signature.free:
        sides = ", ".join(sorted(signature.free))
        raise UsageError(
            f"bundle {manifest.name}: sides {sides} are free, and an engine has one size: give --size HxW, or let the "
            f"ground station build its own with --engine tensorrt-rtx"
        )
    shapes = {i.name: tuple(side for side in i.shape if isinstance(side, int)) for i in signature.inputs}
    names = ", ".join(f"{major}.{minor}" for major, minor in capabilities)
    say(f"TensorRT-RTX {trt.__version__}: building for compute capability {names}")
    built = build(trt, model, shapes, name=f"bundle {manifest.name}", capabilities=capabilities)
    say(f"built in {built.seconds:.0f} s, {len(built.plan) / 1e6:.1f} MB; it runs for the first time on its GPU")
    files = {name: bundle.read(name) for name in manifest.files if name != ENGINE} | {ENGINE: built.plan}
    engine = EngineSpec(
        file=ENGINE,
        graph=GRAPH,
        runtime=f"TensorRT-RTX {trt.__version__}",
        capabilities=tuple(capabilities),
        shapes=shapes,
    )
    manifest = manifest.model_copy(update={"engines": (engine,), "files": checksums(files)})
    write_bundle(folder, manifest, files)
    return manifest


def parse_capabilities(text: str) -> tuple[Capability, ...]:
    """``8.6,8.9,12.0`` as pairs.

    Raises:
        UsageError: it is something else.
    """
    found = [re.fullmatch(r"(\d+)\.(\d)", part.strip()) for part in text.split(",")]
    if not all(found):
        raise UsageError(f"--compute-capability {text}: numbers such as 8.6,8.9,12.0")
    return tuple(dict.fromkeys((int(m[1]), int(m[2])) for m in found if m))


def _import() -> Any:
    try:
        import tensorrt_rtx
    except ImportError:
        raise UsageError("--target rtx needs TensorRT-RTX: pip install 'rsseg-edge[rtx]'") from None
    return tensorrt_rtx


def _check_known(trt: Any, capabilities: Sequence[Capability]) -> None:
    known = sorted(int(m[1]) for m in (re.fullmatch(r"SM(\d+)", name) for name in dir(trt.ComputeCapability)) if m)
    for major, minor in capabilities:
        if 10 * major + minor not in known:
            listed = ", ".join(f"{sm // 10}.{sm % 10}" for sm in known)
            raise UsageError(
                f"--compute-capability {major}.{minor}: TensorRT-RTX {trt.__version__} builds for {listed} "
                f"(8.7 and 11.0 are Jetsons: TensorRT builds on the board itself)"
            )
