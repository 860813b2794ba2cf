"""A bundle as it is quantised: which graphs, what they are fed, and what they decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from rsseg_edge.bundle import Bundle
from rsseg_edge.calibration.prepare import prepare
from rsseg_edge.calibration.ranges import Inputs
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import UsageError
from rsseg_edge.preprocess.fit import Fit, fit_size, to_canvas
from rsseg_edge.types import UInt8Array

LONG_SIDE = 768
"""A semantic network sees calibration images at most so large: ranges hardly depend on it, and time does."""

SENTENCES = ("the building", "the water on the left", "the largest meadow in the upper right corner")

Engines = Mapping[str, OnnxRuntimeEngine]
Graphs = Mapping[str, onnx.ModelProto]


@dataclass(frozen=True, eq=False)
class Decision:
    """What a network makes of a view: classes uint8 [B, H, W] and probabilities float32 [B, K, h, w]."""

    class_map: UInt8Array
    shares: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Subject:
    """What is quantised.

    Attributes:
        graphs: by file name, in float32; the bundle's other graphs stay as they are.
        views: of an image uint8 [H, W, 3], what the network sees of it, each uint8 [1, h, w, 3].
        feeds: of a view, the inputs of each graph.
        decide: runs the graphs on a view.
        colors: uint8 [K, 3], of the classes, for pictures.
        left: files of graphs that stay as they are, with the reason.
    """

    graphs: Graphs
    views: Callable[[UInt8Array], list[UInt8Array]]
    feeds: Callable[[UInt8Array], dict[str, Inputs]]
    decide: Callable[[Engines, UInt8Array], Decision]
    colors: UInt8Array
    left: Mapping[str, str]

    def engines(self, changed: Graphs, threads: int | None = None) -> dict[str, OnnxRuntimeEngine]:
        """The graphs in ONNX Runtime, those in ``changed`` in place of the float32 ones."""
        return {
            name: OnnxRuntimeEngine(changed.get(name, graph).SerializeToString(), name=name, threads=threads)
            for name, graph in self.graphs.items()
        }


def open_subject(bundle: Bundle) -> Subject:
    """The graphs of a bundle, in float32.

    Raises:
        UsageError: it is quantised already.
        RssegError: it is damaged.
    """
    files = {"referring": ("vision.onnx", "fusion.onnx")}.get(bundle.manifest.task, ("model.onnx",))
    try:
        graphs = {name: prepare(onnx.load_from_string(bundle.read(name))) for name in files}
    except ValueError as error:
        raise UsageError(f"bundle {bundle.manifest.name}: {error}: start from one in fp32 or fp16") from None
    if bundle.manifest.task == "referring":
        return _referring(bundle, graphs)
    return _open_vocabulary(bundle, graphs) if bundle.manifest.task == "open-vocabulary" else _semantic(bundle, graphs)


def _semantic(bundle: Bundle, graphs: Graphs) -> Subject:
    spec = bundle.manifest.input
    canvas = (spec.height, spec.width) if spec.height and spec.width else None

    def views(image: UInt8Array) -> list[UInt8Array]:
        fit = fit_size(*image.shape[:2], long_side=LONG_SIDE, multiple=spec.multiple_of, canvas=canvas)
        return [np.ascontiguousarray(to_canvas(image, fit)[None])]

    def decide(engines: Engines, view: UInt8Array) -> Decision:
        found = engines["model.onnx"].infer({"image": view}, ("class_map", "logits"))
        return Decision(found["class_map"], np.exp(found["logits"].astype(np.float32)))

    colors = bundle.manifest.class_table().palette()
    return Subject(graphs, views, lambda view: {"model.onnx": {"image": view}}, decide, colors, {})


def _open_vocabulary(bundle: Bundle, graphs: Graphs) -> Subject:
    from rsseg_edge.prompts.vocabulary import parse_classes
    from rsseg_edge.prompts.words import WordFeatures

    manifest = bundle.manifest
    assert manifest.vocabulary is not None, "the manifest was validated"
    spec, border = manifest.vocabulary, manifest.input.border
    parsed = parse_classes(spec.words)
    words = WordFeatures(bundle)
    text, _ = words.features(parsed.words)
    words.close()
    index, side = np.asarray(parsed.class_index), spec.crop

    def views(image: UInt8Array) -> list[UInt8Array]:
        scale = manifest.input.image_long_side / max(image.shape[:2])
        height, width = (max(1, round(length * scale)) for length in image.shape[:2])
        scaled = to_canvas(image, Fit((height, width), (height, width)))
        found = []
        for top in range(0, max(height - side, 0) + 1, side):
            for left in range(0, max(width - side, 0) + 1, side):
                window = np.empty((1, side, side, 3), np.uint8)
                window[:] = border
                content = scaled[top : top + side, left : left + side]
                y, x = (side - content.shape[0]) // 2, (side - content.shape[1]) // 2
                window[0, y : y + content.shape[0], x : x + content.shape[1]] = content
                found.append(window)
        return found

    def feeds(view: UInt8Array) -> dict[str, Inputs]:
        return {"model.onnx": {"crops": view, "text": text}}

    def decide(engines: Engines, view: UInt8Array) -> Decision:
        cosines = engines["model.onnx"].infer(feeds(view)["model.onnx"], ("cosines",))["cosines"].astype(np.float32)
        shares = np.exp(spec.logit_scale * (cosines - cosines.max(1, keepdims=True)))
        return Decision(index[cosines.argmax(1)].astype(np.uint8), shares / shares.sum(1, keepdims=True))

    return Subject(graphs, views, feeds, decide, manifest.class_table().palette(), {})


def _referring(bundle: Bundle, graphs: Graphs) -> Subject:
    from rsseg_edge.preprocess.letterbox import letterbox
    from rsseg_edge.prompts.tokenizer import Tokenizer

    manifest = bundle.manifest
    assert manifest.referring is not None, "the manifest was validated"
    spec = manifest.referring
    tokenizer = Tokenizer(bundle.read("tokenizer.json"), spec.max_words)
    tokens = np.stack([tokenizer.encode_cut(sentence)[0] for sentence in SENTENCES])  # some read few words
    text: dict[str, npt.NDArray[Any]] = OnnxRuntimeEngine(bundle.read("text.onnx"), name="text graph").infer(
        {"tokens": tokens}
    )
    vision = OnnxRuntimeEngine(graphs["vision.onnx"].SerializeToString(), name="vision graph")

    def feeds(view: UInt8Array) -> dict[str, Inputs]:
        return {"vision.onnx": {"image": view}, "fusion.onnx": {**vision.infer({"image": view}), **text}}

    def decide(engines: Engines, view: UInt8Array) -> Decision:
        features = {**engines["vision.onnx"].infer({"image": view}), **text}
        logits = engines["fusion.onnx"].infer(features, ("mask_logits",))["mask_logits"].astype(np.float32)
        shares = np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), np.float32)
        return Decision((shares > spec.threshold).astype(np.uint8), shares[None])

    colors = np.array([(0, 0, 0), (228, 64, 64)], np.uint8)
    left = {"text.onnx": "runs once a sentence, not once a frame"}
    views: Callable[[UInt8Array], list[UInt8Array]] = lambda image: [  # noqa: E731
        letterbox(image, spec.size, manifest.input.border)[None]
    ]
    return Subject(graphs, views, feeds, decide, colors, left)


@dataclass(frozen=True, eq=False)
class Feeds:
    """Views as one graph's inputs; see :class:`rsseg_edge.calibration.ranges.Samples`."""

    subject: Subject
    graph: str
    views: Sequence[UInt8Array]

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> Inputs:
        return self.subject.feeds(self.views[index])[self.graph]
