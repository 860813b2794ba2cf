"""CRIS: graphs of the text, of the image and of both, with the tokenizer."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from rsseg_edge.bundle import InputSpec, Manifest, ReferringSpec, Training
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import UsageError
from rsseg_edge.export.clip_tokenizer import clip_tokenizer
from rsseg_edge.export.cris_graph import (
    DETAIL,
    TEXT_OUTPUTS,
    VISION_OUTPUTS,
    DeployedFusion,
    DeployedText,
    DeployedVision,
)
from rsseg_edge.export.graph import trace
from rsseg_edge.export.images import gate_images
from rsseg_edge.export.parity import Images, Result, Run, check_parity
from rsseg_edge.export.precision import halve
from rsseg_edge.export.request import Draft, Request, Say, training_of
from rsseg_edge.kernels.registry import ort_library
from rsseg_edge.models.cris.config import CRISConfig, load_config
from rsseg_edge.models.cris.network import CRIS
from rsseg_edge.models.cris.official import load_official
from rsseg_edge.models.cris.words import read_words, word_tokenizer
from rsseg_edge.models.foreign import read_state
from rsseg_edge.precision import Parity, Precision
from rsseg_edge.preprocess.letterbox import letterbox
from rsseg_edge.prompts.tokenizer import Tokenizer
from rsseg_edge.training.referring.predict import border_of
from rsseg_edge.training.referring.task import load_referring

GATE_IMAGES = 6
GATE_SENTENCES = ("the building", "the water on the left", "the largest meadow in the upper right corner")
MAX_SENTENCES = 256

Graphs = dict[str, onnx.ModelProto]


def export_cris(request: Request, say: Say) -> Draft:
    """From a checkpoint of rsseg-train or of the authors.

    Raises:
        UsageError: the request cannot be met.
        RssegError: the parity gate refuses, or a file cannot be read.
    """
    network, training = _network(request)
    config = network.config
    serialised = tokenizer_json(config)
    tokens = Tokenizer(serialised, config.word_length).encode(GATE_SENTENCES)
    border = border_of(config)
    images = gate_images(request.images, GATE_IMAGES, lambda i: letterbox(i, config.image_size, border)[None])

    say(f"tracing {request.model} for {config.image_size} x {config.image_size} pixels")
    graphs = to_onnx(network, config.image_size)
    kept: tuple[str, ...] = ()
    if request.precision == "fp16":
        graphs, kept = _halve(graphs, images.arrays, tokens, say)

    def trained(image: npt.NDArray[np.uint8]) -> Result:
        with torch.inference_mode():
            pixels = network.normalize(torch.from_numpy(image).permute(0, 3, 1, 2).float())
            return _result(network(pixels, torch.from_numpy(tokens))[:, 0].numpy(), config.threshold)

    parity = _check(trained, graphs, tokens, images, request.precision, config.threshold)
    say(
        f"parity of {parity.runtime}: {100 * parity.agreement:.3f} % of the masks' pixels are those of "
        f"{parity.reference} (at least {100 * parity.threshold:.1f} %), probabilities differ by at most "
        f"{parity.max_score_difference:.2g}"
    )
    precision = Precision(
        name="fp16" if request.precision == "fp16" else "fp32",
        kept_fp32=kept,
        measured_on=images.description if kept else "",
    )
    manifest = Manifest(
        name="new",
        model=request.model,
        task="referring",
        config=config.model_dump(mode="json"),
        input=InputSpec(height=config.image_size, width=config.image_size, border=border),
        referring=ReferringSpec(size=config.image_size, max_words=config.word_length, threshold=config.threshold),
        precision=precision,
        files={},
        parity=parity,
        training=training,
    )
    files = {f"{name}.onnx": graph.SerializeToString() for name, graph in graphs.items()}
    return Draft(manifest, {**files, "tokenizer.json": serialised})


def to_onnx(network: CRIS, size: int) -> Graphs:
    """The graphs ``text``, ``vision`` and ``fusion`` for images of ``size`` x ``size`` and any number of sentences.

    Args:
        network: in evaluation mode.
        size: multiple of 32.
    """
    text, vision = DeployedText(network).eval(), DeployedVision(network, size).eval()
    fusion = DeployedFusion(network, size).eval()
    tokens = torch.ones(2, network.config.word_length - 1, dtype=torch.int64)
    image = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    with torch.inference_mode():
        level3, level4, level5, *detail = vision(image)
        features = (level3, level4, level5, *text(tokens), *detail)
    features = tuple(feature.clone() for feature in features)
    words = torch.export.Dim("words", min=2, max=network.config.word_length)
    free = {0: torch.export.Dim("sentences", min=1, max=MAX_SENTENCES)}
    seen = (*VISION_OUTPUTS, *([DETAIL] if network.vision.detail_channels else []))
    inputs = (*VISION_OUTPUTS, *TEXT_OUTPUTS, *seen[len(VISION_OUTPUTS) :])
    graphs = {
        "text": trace(text, (tokens,), ["tokens"], TEXT_OUTPUTS, {"tokens": {**free, 1: words}}),
        "vision": trace(vision, (image,), ["image"], seen),
        "fusion": trace(fusion, features, inputs, ["mask_logits"], dict.fromkeys(TEXT_OUTPUTS, free)),
    }
    for graph in graphs.values():
        onnx.checker.check_model(graph)
    return graphs


def runner(
    graphs: Graphs, threads: int | None = None, *, kernels: bool = True
) -> Callable[[npt.NDArray[np.uint8], npt.NDArray[np.int64]], npt.NDArray[np.float32]]:
    """Runs the three graphs: an image uint8 [1, S, S, 3] and tokens int64 [B, L] to logits float32 [B, S/4, S/4].

    ``kernels`` is False: by the operators' bodies.
    """
    engines = {
        name: OnnxRuntimeEngine(
            graph.SerializeToString(), threads=threads, name=f"exported {name} graph", kernels=kernels, widen=False
        )
        for name, graph in graphs.items()
    }

    def run(image: npt.NDArray[np.uint8], tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        features = engines["vision"].infer({"image": image}) | engines["text"].infer({"tokens": tokens})
        logits: npt.NDArray[np.float32] = engines["fusion"].infer(features)["mask_logits"]
        return logits

    return run


def tokenizer_json(config: CRISConfig) -> bytes:
    """``tokenizer.json`` of a configuration: of its own words, or CLIP's."""
    if config.clip.text.words:
        return word_tokenizer(read_words(config.name))
    import open_clip

    return clip_tokenizer(open_clip.SimpleTokenizer(), config.word_length)


def _network(request: Request) -> tuple[CRIS, Training | None]:
    if (request.checkpoint is None) == (request.official is None):
        raise UsageError(
            f"{request.model} needs either --checkpoint RUN/model.safetensors of rsseg-train or --official FILE, the "
            f"authors' checkpoint"
        )
    if request.official is not None:
        network = CRIS(load_config(request.model), pretrained=False)
        load_official(network, read_state(request.official, f"CRIS checkpoint {request.official}"))
        return network.eval(), None
    assert request.checkpoint is not None
    task, trained = load_referring(request.checkpoint)
    if trained.model != request.model:
        raise UsageError(
            f"{request.checkpoint} is a {trained.model}, not a {request.model}: give --model {trained.model}"
        )
    return task.network.eval(), training_of(trained.record)


def _halve(
    graphs: Graphs, images: Sequence[npt.NDArray[np.uint8]], tokens: npt.NDArray[np.int64], say: Say
) -> tuple[Graphs, tuple[str, ...]]:
    """Each graph in half precision, by the ranges that it has on the images, and the nodes that stay in fp32."""
    text, vision = (OnnxRuntimeEngine(graphs[name].SerializeToString(), name=name) for name in ("text", "vision"))
    sentences = text.infer({"tokens": tokens})
    samples: dict[str, list[dict[str, npt.NDArray[Any]]]] = {
        "text": [{"tokens": tokens}],
        "vision": [{"image": image} for image in images],
        "fusion": [{**vision.infer({"image": image}), **sentences} for image in images],
    }
    halved, kept = {}, []
    for name, graph in graphs.items():
        halved[name], names = halve(graph, samples[name], say)
        kept += [f"{name}: {node}" for node in names]
    return halved, tuple(kept)


def _check(
    trained: Run, graphs: Graphs, tokens: npt.NDArray[np.int64], images: Images, precision: str, threshold: float
) -> Parity:
    """The gate by every way that a user's machine may run the graphs' operators; the worst of them is given.

    Raises:
        RssegError: see :func:`check_parity`.
    """
    runtime = f"ONNX Runtime {importlib.metadata.version('onnxruntime')} on a CPU"
    found = []
    for way, kernels in {"standard operators": False, "compiled kernels": True}.items():
        if kernels and ort_library() is None:
            continue
        run = runner(graphs, kernels=kernels)
        parity = check_parity(
            trained,
            lambda image, run=run: _result(run(image, tokens), threshold),  # type: ignore[misc]
            images,
            precision,
            reference=f"the trained network, torch {torch.__version__}",
            runtime=f"the {precision} graphs, {runtime}, {way}, {len(GATE_SENTENCES)} sentences an image",
        )
        found.append(parity)
    return min(found, key=lambda parity: parity.agreement)


def _result(logits: npt.NDArray[np.float32], threshold: float) -> Result:
    """Masks uint8 [1, B, h, h] and the logarithms of the probabilities."""
    log = -np.logaddexp(0, -logits.astype(np.float32))[None]
    return (np.exp(log) > threshold).astype(np.uint8), log
