"""``rsseg-export``: from a checkpoint or a bundle to a bundle of another precision or size, through the parity gate."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from rsseg_edge import __version__
from rsseg_edge.bundle import ClassSpec, InputSpec, Manifest, Parity, Precision, Score, Training, open_bundle
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.export.parity import Images, Result, check_parity
from rsseg_edge.export.precision import measure_ranges, nodes_to_keep, to_fp16
from rsseg_edge.export.write import check_target, checksums, write_bundle
from rsseg_edge.kernels.registry import calls_operators, ort_library
from rsseg_edge.preprocess.fit import fit_size, to_canvas
from rsseg_edge.types import UInt8Array

MODEL = "model.onnx"
Say = Callable[[str], None]
Run = Callable[[npt.NDArray[np.uint8]], Result]


@dataclass(frozen=True)
class Request:
    """What is to be exported.

    Attributes:
        model: configuration that the checkpoint must be of, or the shipped bundle to start from without one.
        precision: "fp32" or "fp16".
        checkpoint: ``model.safetensors`` of rsseg-train; None starts from the shipped bundle.
        size: height and width that the graph is fixed to; None leaves both free.
        images: folder, image or video for the parity gate and for fp16's ranges; None generates scenes.
        name: of the bundle; None takes the target folder's.
    """

    model: str
    precision: str
    checkpoint: Path | None = None
    size: tuple[int, int] | None = None
    images: str | None = None
    name: str | None = None


def export(
    request: Request, folder: Path, say: Say, score: Callable[[Path], tuple[Score, ...]] | None = None
) -> Manifest:
    """Export and write the bundle.

    Args:
        request: see :class:`Request`.
        folder: the bundle's folder; an earlier bundle there is replaced.
        say: told each step in a line.
        score: measures the written bundle; what it gives goes into the manifest.

    Raises:
        UsageError: the request cannot be met.
        RssegError: the parity gate refuses, or a file cannot be read or written. Nothing is written then.
    """
    check_target(folder)
    parent, manifest = _from_checkpoint(request, say) if request.checkpoint else _from_shipped(request)
    images = _images(request, manifest.input)
    graph, reference = parent.graph, parent.reference
    parity = None
    if parent.run is not None:  # a graph that was made just now: the trained network is its parent
        say(f"parity gate: {len(images.arrays)} images ({images.description})")
        parity = _gate(parent.run, graph, images, "fp32", reference, say)
    precision = Precision(name="fp32")
    if request.precision == "fp16":
        fp32 = _runner(graph)
        keep = nodes_to_keep(graph, measure_ranges(graph, images.arrays))
        graph = to_fp16(graph, keep)
        say(f"fp16: {len(keep)} of {len(graph.graph.node)} nodes stay in fp32: {', '.join(keep) or 'none overflows'}")
        reference = f"the fp32 graph, ONNX Runtime {importlib.metadata.version('onnxruntime')}"
        parity = _gate(fp32, graph, images, "fp16", reference, say)
        precision = Precision(name="fp16", kept_fp32=tuple(keep), measured_on=images.description)
    onnx.checker.check_model(graph)
    files = {MODEL: graph.SerializeToString()}
    manifest = manifest.model_copy(
        update={
            "name": request.name or folder.resolve().name,
            "input": _input(request.size),
            "precision": precision,
            "files": checksums(files),
            "parity": parity or manifest.parity,
            "scores": (),  # those of a shipped bundle were measured at its own precision and size
            "made_with": {
                "rsseg-edge": __version__,
                "python": platform.python_version(),
                **{p: importlib.metadata.version(p) for p in ("torch", "onnx", "onnxruntime", "onnxscript", "timm")},
            },
        }
    )
    write_bundle(folder, Manifest.model_validate(manifest.model_dump()), files)
    if score is not None:
        manifest = manifest.model_copy(update={"scores": score(folder)})
        write_bundle(folder, manifest, files)
    return manifest


@dataclass(frozen=True)
class _Parent:
    """The fp32 graph and, where it was made just now, the network that it must agree with."""

    graph: onnx.ModelProto
    reference: str
    run: Run | None


def _from_checkpoint(request: Request, say: Say) -> tuple[_Parent, Manifest]:
    import torch

    from rsseg_edge.export.graph import DeployedSegCLIP, to_onnx
    from rsseg_edge.models.segclip.network import SegCLIP
    from rsseg_edge.training.checkpoint import load_model

    assert request.checkpoint is not None
    task, trained = load_model(request.checkpoint)
    if trained.model != request.model:
        raise UsageError(
            f"{request.checkpoint} is a {trained.model}, not a {request.model}: give --model {trained.model}"
        )
    if not isinstance(task.network, SegCLIP):
        raise UsageError(f"{trained.model} is a baseline to compare with; it has no deployed form")
    say(f"tracing {trained.model} with {len(trained.table)} classes")
    deployed = DeployedSegCLIP(task.network)

    def run(image: npt.NDArray[np.uint8]) -> Result:
        with torch.inference_mode():
            classes, _, logits = deployed(torch.from_numpy(image))
        return classes.numpy(), logits.numpy()

    graph = to_onnx(task.network, request.size)
    record: dict[str, Any] = trained.record
    manifest = Manifest(
        name="new",
        model=trained.model,
        config=task.network.config.model_dump(mode="json"),
        classes=tuple(
            ClassSpec(name=n, color=c) for n, c in zip(trained.table.names, trained.table.colors, strict=True)
        ),
        input=InputSpec(),
        precision=Precision(name="fp32"),
        files={},
        training=Training(
            data=str(record.get("data", "not recorded")),
            split=str(record.get("split", "not recorded")),
            recipe=record.get("recipe", {}),
            start=record.get("start", {}),
            seed=int(record.get("seed", 0)),
            steps=int(record.get("steps", 0)),
        ),
    )
    return _Parent(graph, f"the trained network, torch {torch.__version__}", run), manifest


def _from_shipped(request: Request) -> tuple[_Parent, Manifest]:
    from rsseg_edge.bundle import shipped_bundles

    if request.model not in shipped_bundles():
        raise UsageError(
            f"no weights of {request.model} are shipped: train them with rsseg-train {request.model} and give "
            f"--checkpoint RUN/model.safetensors (shipped: {', '.join(shipped_bundles()) or 'none'})"
        )
    bundle = open_bundle(request.model)
    if bundle.manifest.precision.name != "fp32":
        raise UsageError(f"bundle {request.model} is {bundle.manifest.precision.name}: give --checkpoint to start anew")
    graph = onnx.load_from_string(bundle.read(MODEL))
    if request.size is not None:
        from onnxruntime.tools.onnx_model_utils import make_input_shape_fixed

        make_input_shape_fixed(graph.graph, "image", [1, *request.size, 3])
    return _Parent(graph, f"bundle {request.model}", None), bundle.manifest


def _gate(parent: Run, graph: onnx.ModelProto, images: Images, precision: str, reference: str, say: Say) -> Parity:
    """The parity gate, by every way that a user's machine may run the graph's operators; the worst of them."""
    ways = {"standard operators": False}
    if ort_library() is not None and calls_operators(graph.SerializeToString()):
        ways["compiled kernels"] = True
    found = []
    for way, kernels in ways.items():
        runtime = f"the {precision} graph, ONNX Runtime {importlib.metadata.version('onnxruntime')} on a CPU, {way}"
        child = _runner(graph, kernels=kernels)
        found.append(check_parity(parent, child, images, precision, reference=reference, runtime=runtime))
        _tell(found[-1], say)
    return min(found, key=lambda parity: parity.agreement)


def _runner(graph: onnx.ModelProto, *, kernels: bool = True) -> Run:
    engine = OnnxRuntimeEngine(graph.SerializeToString(), name="exported graph", kernels=kernels)

    def run(image: npt.NDArray[np.uint8]) -> Result:
        found = engine.infer({"image": image}, ("class_map", "logits"))
        return found["class_map"], found["logits"].astype(np.float32)

    return run


def _tell(parity: Parity, say: Say) -> None:
    say(
        f"parity of {parity.runtime}: {100 * parity.agreement:.3f} % of pixels get the class that "
        f"{parity.reference} gives (at least {100 * parity.threshold:.1f} %), shares differ by at most "
        f"{parity.max_score_difference:.2g}"
    )


def _input(size: tuple[int, int] | None) -> InputSpec:
    return InputSpec(height=size[0], width=size[1]) if size else InputSpec()


def _images(request: Request, spec: InputSpec, count: int = 12) -> Images:
    """Up to ``count`` images spread over what was given, as the graph takes them."""
    if request.images is None:
        from rsseg_edge.datasets.reader import open_dataset

        scenes = open_dataset("scenes", None, "val")
        found, what = [scenes[i].image for i in range(count)], f"{count} generated scenes"
    else:
        from rsseg_edge.sources.base import Selection
        from rsseg_edge.sources.choose import open_source

        refused: list[str] = []
        source = open_source(request.images, Selection(), threads=1, report=refused.append)
        try:
            stride = max(1, (source.expected or count) // count)
            found = [frame.image for frame in source.frames() if frame.index % stride == 0][:count]
        finally:
            source.close()
        if not found:
            raise RssegError(f"{request.images}: no image in it can be read ({'; '.join(refused) or 'it is empty'})")
        what = f"{len(found)} images of {Path(request.images).name}"
    return Images(what, [_prepare(image, spec, request.size) for image in found])


def _prepare(image: UInt8Array, spec: InputSpec, canvas: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
    # 1024: as much as a network of this size sees of any scene at once, and the gate stays a matter of seconds
    fit = fit_size(*image.shape[:2], long_side=1024, multiple=spec.multiple_of, canvas=canvas)
    return np.ascontiguousarray(to_canvas(image, fit)[None])
