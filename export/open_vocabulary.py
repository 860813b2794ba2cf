"""A network of an open vocabulary: windows and text features in, cosines out; words come in beside it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from rsseg_edge.bundle import ClassSpec, InputSpec, Manifest, Precision, Training, VocabularySpec
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.export.graph import trace
from rsseg_edge.export.images import gate_images
from rsseg_edge.export.parity import Gate, Read, Result
from rsseg_edge.export.precision import halve
from rsseg_edge.export.request import Draft, Request, Say
from rsseg_edge.models.segearth_ov.bilinear import Bilinear
from rsseg_edge.models.segearth_ov.config import InferenceConfig
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp
from rsseg_edge.preprocess.fit import Fit, to_canvas
from rsseg_edge.prompts.colors import Color, distinct_colors
from rsseg_edge.prompts.vocabulary import MAX_QUERIES, parse_classes
from rsseg_edge.types import UInt8Array

MODEL = "model.onnx"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation, of RGB in 0..1."""
BORDER = (123, 117, 104)
"""The mean as a colour: zero, but for rounding, once it is normalised."""
MAX_WINDOWS = 64
GATE_WINDOWS = 6

Floats = npt.NDArray[np.float32]


class Network(Protocol):
    """What can be exported: SegEarthOV and whatever offers the same.

    ``vit`` gives patch tokens [B, h, w, C] and a class token [B, C], ``upsampler`` is of C channels.
    """

    vit: Any
    upsampler: Any
    inference: InferenceConfig

    def upsampled_logits(self, image: Tensor, text: Tensor, *upsamplers: SimFeatUp | Bilinear) -> list[Tensor]:
        """Normalised RGB [B, 3, H, W] and text [Q, C] to cosines less the global bias, [B, Q, H, W] by upsampler."""


@dataclass(frozen=True, eq=False)
class TextPart:
    """What a bundle brings that turns words into features.

    Attributes:
        files: the text tower and its tokenizer, or a bank of words.
        encoder: see :class:`VocabularySpec`, as for the attributes after it.
        context_length: see there.
        templates: see there.
        trained: features of the words of the model's classes by the network itself: float32 [Q, C], rows of length 1.
        deployed: the same by ``files``.
        kept_fp32: nodes of the text graph that fp16 would overflow.
    """

    files: Mapping[str, bytes]
    encoder: str
    context_length: int
    templates: tuple[str, ...]
    trained: Floats
    deployed: Floats
    kept_fp32: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """What the manifest says of a model beside its arithmetic.

    Attributes:
        model: name of the configuration.
        config: the configuration.
        long_side: images are scaled to it, in pixels.
        classes: those that a user gets who names none, each a string of comma-separated synonyms.
        colors: of classes by name, RGB; others get distinct ones.
        training: where trained weights come from.
        video_long_side: the same of video; None takes ``long_side``.
    """

    model: str
    config: Mapping[str, Any]
    long_side: int
    classes: tuple[str, ...]
    colors: Mapping[str, Color]
    training: Training | None = None
    video_long_side: int | None = None


class DeployedWindows(nn.Module):
    """What the graph computes. Normalisation and the subtraction of the global bias are inside, text is an input.

    ``forward(crops, text)`` takes uint8 RGB [B, S, S, 3] and float32 [Q, C], rows of length 1, and gives ``cosines``,
    float32 [B, Q, S, S], and, where the network has a SimFeatUp, ``coarse_cosines``, the same enlarged bilinearly: a
    runtime in a hurry asks for those alone.

    Attributes:
        outputs: their names.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network: Any = network
        self.upsamplers = [network.upsampler]
        self.outputs = ["cosines"]
        if isinstance(network.upsampler, SimFeatUp):
            self.upsamplers.append(Bilinear(network.vit.channels))
            self.outputs.append("coarse_cosines")
        self.register_buffer("mean", 255 * torch.tensor(MEAN))
        self.register_buffer("std", 255 * torch.tensor(STD))

    def forward(self, crops: Tensor, text: Tensor) -> list[Tensor]:
        image = (crops.float() - self.mean) / self.std
        found: list[Tensor] = self.network.upsampled_logits(image.permute(0, 3, 1, 2), text, *self.upsamplers)
        return found


def to_onnx(network: Network) -> onnx.ModelProto:
    """The graph of :class:`DeployedWindows` for any number of windows of the network's ``slide_crop`` and of words.

    Args:
        network: in evaluation mode.
    """
    side = network.inference.slide_crop
    windows = torch.export.Dim("B", min=1, max=MAX_WINDOWS)
    words = torch.export.Dim("Q", min=1, max=MAX_QUERIES)
    example = (torch.zeros(2, side, side, 3, dtype=torch.uint8), torch.zeros(3, network.vit.channels))
    dynamic = {"crops": {0: windows}, "text": {0: words}}
    deployed = DeployedWindows(network)
    return trace(deployed, example, ["crops", "text"], deployed.outputs, dynamic)


def export_open_vocabulary(network: Network, text: TextPart, identity: Identity, request: Request, say: Say) -> Draft:
    """The bundle's files and manifest, through the parity gate.

    Raises:
        RssegError: the parity gate refuses, or no image can be read.
    """
    inference = network.inference
    vocabulary = parse_classes(identity.classes)
    names = [name.split(",")[0].strip() for name in identity.classes]
    say(f"{len(vocabulary.words)} words in {len(names)} classes, {len(text.templates)} templates each")
    say(f"text features: the bundle's are the network's to {np.abs(text.trained - text.deployed).max():.2g}")
    index = np.asarray(vocabulary.class_index)

    say(f"tracing {identity.model}: windows of {inference.slide_crop} pixels")
    graph = to_onnx(network)
    images = gate_images(request.images, GATE_WINDOWS, lambda image: _window(image, identity.long_side, inference))
    say(f"parity gate: {len(images.arrays)} windows ({images.description})")
    scale = inference.logit_scale

    def reader(features: Floats) -> Read:
        def read(engine: OnnxRuntimeEngine, crops: npt.NDArray[np.uint8]) -> Result:
            found = engine.infer({"crops": crops, "text": features}, ("cosines",))["cosines"]
            return _decide(found.astype(np.float32), index, scale)

        return read

    def run(crops: npt.NDArray[np.uint8]) -> Result:
        with torch.inference_mode():
            cosines = module(torch.from_numpy(crops), torch.from_numpy(text.trained))[0]
        return _decide(cosines.numpy(), index, scale)

    module = DeployedWindows(network)
    half = request.precision == "fp16"
    # In half precision the text counts with the windows: the fp32 graph that they are held against has the network's.
    gate = Gate(images, reader(text.trained if half else text.deployed), say)
    parity = gate.check(run, graph, "fp32", f"the network, torch {torch.__version__}")
    precision = Precision(name="fp32")
    if half:
        fp32 = gate.run(graph)
        graph, keep = halve(graph, ({"crops": crops, "text": text.deployed} for crops in images.arrays), say)
        gate = Gate(images, reader(text.deployed), say)
        parity = gate.check(fp32, graph, "fp16", f"the fp32 graph, ONNX Runtime {_version('onnxruntime')}")
        precision = Precision(name="fp16", kept_fp32=(*keep, *text.kept_fp32), measured_on=images.description)
    onnx.checker.check_model(graph)
    colors = distinct_colors(names, identity.colors)
    manifest = Manifest(
        name="new",
        model=identity.model,
        task="open-vocabulary",
        config=identity.config,
        classes=tuple(ClassSpec(name=n, color=c) for n, c in zip(names, colors, strict=True)),
        input=InputSpec(
            multiple_of=1,
            image_long_side=identity.long_side,
            video_long_side=identity.video_long_side or identity.long_side,
            border=BORDER,
        ),
        vocabulary=VocabularySpec(
            dim=network.vit.channels,
            crop=inference.slide_crop,
            stride=inference.slide_stride,
            max_queries=MAX_QUERIES,
            logit_scale=scale,
            prob_threshold=inference.prob_thd,
            background=inference.bg_idx if inference.prob_thd else None,
            templates=text.templates,
            encoder=text.encoder,
            context_length=text.context_length,
            words=identity.classes,
        ),
        precision=precision,
        files={},
        parity=parity,
        training=identity.training,
    )
    return Draft(manifest, {MODEL: graph.SerializeToString(), **text.files})


def _decide(cosines: Floats, class_index: npt.NDArray[np.int64], scale: float) -> Result:
    """The class of the best word, uint8 [B, H, W], and the words' log-probabilities [B, Q, H, W]."""
    logits = scale * (cosines - cosines.max(1, keepdims=True))
    logits -= np.log(np.exp(logits).sum(1, keepdims=True))
    return class_index[cosines.argmax(1)].astype(np.uint8), logits.astype(np.float32)


def _window(image: UInt8Array, long_side: int, inference: InferenceConfig) -> npt.NDArray[np.uint8]:
    """The middle window of an image at the working size, uint8 [1, S, S, 3]."""
    scale, side = long_side / max(image.shape[:2]), inference.slide_crop
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    scaled = to_canvas(image, Fit((height, width), (height, width)))
    top, left = max(0, height - side) // 2, max(0, width - side) // 2
    content = scaled[top : top + side, left : left + side]
    window = np.empty((1, side, side, 3), np.uint8)
    window[:] = BORDER
    y, x = (side - content.shape[0]) // 2, (side - content.shape[1]) // 2
    window[0, y : y + content.shape[0], x : x + content.shape[1]] = content
    return window


def _version(package: str) -> str:
    return importlib.metadata.version(package)
