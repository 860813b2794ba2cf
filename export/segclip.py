"""SegCLIP: uint8 image in, class map, confidence and logits out."""

from __future__ import annotations

import copy
import importlib.metadata
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.bundle import ClassSpec, InputSpec, Manifest, open_bundle, shipped_bundles
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import UsageError
from rsseg_edge.export.graph import trace
from rsseg_edge.export.images import gate_images
from rsseg_edge.export.parity import Gate, Result, Run
from rsseg_edge.export.precision import halve
from rsseg_edge.export.request import Draft, Request, Say, training_of
from rsseg_edge.export.rewrites import decide_in_one, embed_queries, reduce_by_means
from rsseg_edge.models.decide import decide
from rsseg_edge.models.segclip.network import SegCLIP, upsample
from rsseg_edge.precision import Precision
from rsseg_edge.preprocess.fit import fit_size, to_canvas
from rsseg_edge.types import UInt8Array

MODEL = "model.onnx"
OUTPUTS = ["class_map", "confidence", "logits", "pixel_features", "mask_queries", "query_shares"]
MULTIPLE = 32
GATE_IMAGES = 12


def export_segclip(request: Request, say: Say) -> Draft:
    """From a checkpoint, or from a shipped bundle at another precision or size.

    Raises:
        UsageError: the request cannot be met.
        RssegError: the parity gate refuses, or a file cannot be read.
    """
    parent, manifest = _from_checkpoint(request, say) if request.checkpoint else _from_shipped(request)
    images = gate_images(request.images, GATE_IMAGES, lambda image: _prepare(image, manifest.input, request.size))
    gate = Gate(images, _read, say)
    graph, parity, precision = parent.graph, manifest.parity, Precision(name="fp32")
    run, before = parent.run, graph.SerializeToString()
    embed_queries(graph)
    reduce_by_means(graph)
    decide_in_one(graph, "class_map", "confidence")
    if run is None and graph.SerializeToString() != before:  # a bundle from before these rewrites
        run = gate.run(onnx.load_from_string(before))
    if run is not None:
        say(f"parity gate: {len(images.arrays)} images ({images.description})")
        parity = gate.check(run, graph, "fp32", parent.reference)
    if request.precision == "fp16":
        fp32 = gate.run(graph)
        graph, keep = halve(graph, ({"image": image} for image in images.arrays), say)
        reference = f"the fp32 graph, ONNX Runtime {importlib.metadata.version('onnxruntime')}"
        parity = gate.check(fp32, graph, "fp16", reference)
        precision = Precision(name="fp16", kept_fp32=tuple(keep), measured_on=images.description)
    onnx.checker.check_model(graph)
    update = {"input": _input(request.size), "precision": precision, "parity": parity}
    return Draft(manifest.model_copy(update=update), {MODEL: graph.SerializeToString()})


class DeployedSegCLIP(nn.Module):
    """What the graph computes. Normalisation is inside, text features are constants.

    ``forward(image)`` takes uint8 RGB [1, H, W, 3], H and W multiples of 32 (or more than one of a size), and gives, in
    the order of ``OUTPUTS``:

    - ``class_map`` and ``confidence``, uint8 [1, H, W];
    - ``logits``, float [1, K, H / 4, W / 4]: the logarithms of the class shares, so that their softmax is the shares;
    - ``pixel_features``, float [1, C, H / 4, W / 4], ``mask_queries``, float [1, N, C], and ``query_shares``, float
      [1, N, K]: what the shares are made of, see :class:`rsseg_edge.segmenters.scene_queries.SceneQueries`.

    A runtime is asked for outputs by name, and the later ones cost next to nothing.
    """

    def __init__(self, network: SegCLIP) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        _fix_same_padding(self.network.backbone)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        parts = self.network.parts(image.permute(0, 3, 1, 2).float())
        shares = parts.shares()
        classes, confidence = decide(upsample(shares, (image.shape[1], image.shape[2])))
        logits = shares.clamp(min=1e-6).log()
        return classes, confidence, logits, parts.embedding, parts.mask_queries, parts.query_shares


def to_onnx(network: SegCLIP, size: tuple[int, int] | None, batch: bool = False) -> onnx.ModelProto:
    """The graph of :class:`DeployedSegCLIP`.

    Args:
        network: in evaluation mode.
        size: height and width of the only input that the graph takes; None leaves both free.
        batch: the graph takes any number of images, of one size, and no image's result depends on the others.
    """
    height, width = size or (4 * MULTIPLE, 6 * MULTIPLE)
    sides: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=64)} if batch else {}
    if size is None:
        # Sides are stated as multiples: that the pyramid's levels fit together is then known, not guessed.
        rows, columns = torch.export.Dim("rows", min=1, max=256), torch.export.Dim("columns", min=1, max=256)
        sides |= {1: MULTIPLE * rows, 2: MULTIPLE * columns}
    image = torch.zeros(2 if batch else 1, height, width, 3, dtype=torch.uint8)
    return trace(DeployedSegCLIP(network), (image,), ["image"], OUTPUTS, {"image": sides} if sides else None)


class _PaddedConv(nn.Module):
    """A stride-2 convolution with TensorFlow's "same" padding, for inputs of even size: constant, the end gets more."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        before, after = (conv.kernel_size[0] - 2) // 2, (conv.kernel_size[0] - 1) // 2
        self.pad = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        c = self.conv
        return F.conv2d(F.pad(x, self.pad), c.weight, c.bias, c.stride, 0, c.dilation, c.groups)


def _fix_same_padding(module: nn.Module) -> None:
    # timm computes the padding from the size in the graph. Sides are multiples of 32, so that every strided layer
    # sees an even size and the padding is a constant.
    for name, child in module.named_children():
        if type(child).__name__ == "Conv2dSame" and isinstance(child, nn.Conv2d):
            setattr(module, name, _PaddedConv(child))
        else:
            _fix_same_padding(child)


@dataclass(frozen=True)
class _Parent:
    """The fp32 graph and, where it was made just now, the network that it must agree with."""

    graph: onnx.ModelProto
    reference: str
    run: Run | None


def _from_checkpoint(request: Request, say: Say) -> tuple[_Parent, Manifest]:
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
            classes, _, logits, *_ = deployed(torch.from_numpy(image))
        return classes.numpy(), logits.numpy()

    graph = to_onnx(task.network, request.size, request.batch)
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
        training=training_of(trained.record),
    )
    return _Parent(graph, f"the trained network, torch {torch.__version__}", run), manifest


def _from_shipped(request: Request) -> tuple[_Parent, Manifest]:
    if request.model not in shipped_bundles():
        raise UsageError(
            f"no weights of {request.model} are shipped: train them with rsseg-train {request.model} and give "
            f"--checkpoint RUN/model.safetensors (shipped: {', '.join(shipped_bundles()) or 'none'})"
        )
    if request.batch:
        raise UsageError(f"--batch: the graph of the shipped {request.model} takes one image; give --checkpoint")
    bundle = open_bundle(request.model)
    if bundle.manifest.precision.name != "fp32":
        raise UsageError(f"bundle {request.model} is {bundle.manifest.precision.name}: give --checkpoint to start anew")
    graph = onnx.load_from_string(bundle.read(MODEL))
    if request.size is not None:
        from onnxruntime.tools.onnx_model_utils import make_input_shape_fixed

        make_input_shape_fixed(graph.graph, "image", [1, *request.size, 3])
    return _Parent(graph, f"bundle {request.model}", None), bundle.manifest


def _read(engine: OnnxRuntimeEngine, image: npt.NDArray[np.uint8]) -> Result:
    found = engine.infer({"image": image}, ("class_map", "logits"))
    return found["class_map"], found["logits"].astype(np.float32)


def _input(size: tuple[int, int] | None) -> InputSpec:
    return InputSpec(height=size[0], width=size[1]) if size else InputSpec()


def _prepare(image: UInt8Array, spec: InputSpec, canvas: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
    # 1024: as much as a network of this size sees of any scene at once, and the gate stays a matter of seconds
    fit = fit_size(*image.shape[:2], long_side=1024, multiple=spec.multiple_of, canvas=canvas)
    return np.ascontiguousarray(to_canvas(image, fit)[None])
