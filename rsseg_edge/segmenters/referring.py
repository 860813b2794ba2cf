"""Referring segmentation: what a sentence is about, with other sentences from one frame to the next (METHODS 2)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg_edge.bundle import Bundle, ReferringSpec
from rsseg_edge.engines.base import Engine
from rsseg_edge.engines.choose import EngineName, Say, open_engine
from rsseg_edge.engines.graph_file import read_graph
from rsseg_edge.engines.onnx_file import read_signature
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.engines.shared import BatchCounts
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.preprocess.check import check_image
from rsseg_edge.preprocess.letterbox import from_letterbox, letterbox
from rsseg_edge.prompts.colors import distinct_colors
from rsseg_edge.prompts.sentence import tidy_sentences
from rsseg_edge.prompts.tokenizer import Tokenizer, without_padding
from rsseg_edge.segmenters.word_classes import BACKGROUND
from rsseg_edge.temporal.score_grid import ScoreGrid
from rsseg_edge.types import ClassTable, Segmentation, UInt8Array

_KEPT = 64  # sentences whose features are kept: some 2 MB each
_BATCH = 8  # sentences that a GPU fuses at once: some 100 MB each while it runs

Features = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Question:
    """The sentences that an image is asked about; immutable, so that no image sees two sets of them.

    Attributes:
        table: background, then the sentences, and their colours.
        text: by name of the text graph's outputs, what they are for all sentences, [S, ...].
    """

    table: ClassTable
    text: Features


class ReferringSegmenter:
    """Segments what sentences refer to. See :class:`rsseg_edge.segmenter.Segmenter`.

    An image costs one pass of the vision graph and, for each sentence, one of the smaller fusion graph.

    Args:
        bundle: of a referring network.
        threads: cores of one inference; None takes all.
        engine: what runs the network; sentences are encoded on the CPU.
        say: told which engine runs and why; see :func:`rsseg_edge.segmenter.load`.
        shared: counts what several threads infer together; see there, too.

    Example:
        >>> segmenter = rsseg_edge.load("cris-tiny")
        >>> segmenter.refer(["the water on the left", "the largest building"])
        >>> result = segmenter(image)
        >>> result.masks  # bool [2, H, W]
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        engine: EngineName = "auto",
        say: Say | None = None,
        shared: BatchCounts | None = None,
    ) -> None:
        manifest = bundle.manifest
        assert manifest.referring is not None, "the manifest was validated"
        self._referring: ReferringSpec = manifest.referring
        self.spec = manifest.input
        self.long_side = manifest.referring.size
        name = f"bundle {manifest.name}"
        # A sentence is encoded once: that is no work for a GPU, whose engines would be built for it.
        text = read_graph(bundle, "text.onnx")
        self._text: Engine = OnnxRuntimeEngine(text.model, threads=threads, name=text.name)
        self._any_length = isinstance(read_signature(text.model).inputs[0].shape[1], str)
        say = _once(say) if say is not None else None
        # Every sentence is fused with one image: frames of several threads are joined where they are looked at.
        self._vision, self._fusion = (
            open_engine(
                read_graph(bundle, f"{graph}.onnx"), threads=threads, engine=engine, say=say, join=join, shared=counts
            )
            for graph, join, counts in (
                ("vision", ("image", 0), shared),
                ("fusion", None, None if shared is None else BatchCounts()),
            )
        )
        on_cpu = isinstance(self._fusion, OnnxRuntimeEngine) and not self._fusion.gpu
        self._together = 1 if on_cpu else _BATCH  # one sentence's activations stay in a CPU's caches
        self._tokenizer = Tokenizer(
            bundle.read("tokenizer.json"), self._referring.max_words, name=f"{name}: tokenizer.json"
        )
        self._features: OrderedDict[str, Features] = OrderedDict()
        self._lock = threading.Lock()  # of the text graph and the features: refer() may come from any thread
        self._current: Question | None = None

    @property
    def question(self) -> Question:
        """What the next image is asked.

        Raises:
            UsageError: no sentence was given.
        """
        if self._current is None:
            raise UsageError("no sentence: say what to segment, for instance --refer 'the water on the left'")
        return self._current

    @property
    def table(self) -> ClassTable:
        """Background and the current sentences, with their colours."""
        return self.question.table

    @property
    def classes(self) -> tuple[str, ...]:
        """Background and the current sentences."""
        return self.table.names

    def refer(self, sentences: Sequence[str]) -> tuple[str, ...]:
        """Ask about other sentences from the next image on. May be called from any thread.

        Args:
            sentences: in English.

        Returns:
            A line for each sentence that is longer than the network reads and was cut: it says where.

        Raises:
            UsageError: no sentence or too many, an empty or repeated one, or other letters than those of English. The
                sentences of before stay then.
        """
        tidy = tidy_sentences(list(sentences))
        if BACKGROUND in tidy:
            raise UsageError(f"'{BACKGROUND}' is what no sentence refers to: it cannot be asked for")
        notes = []
        with self._lock:
            found = []
            for sentence in tidy:
                row, kept = self._tokenizer.encode_cut(sentence)
                if kept != sentence:
                    notes.append(f"the network reads {self._tokenizer.length} tokens: cut after '...{kept[-40:]}'")
                found.append(self._encoded(sentence, row))
            text = {name: np.concatenate([features[name] for features in found]) for name in found[0]}
            table = ClassTable((BACKGROUND, *tidy), ((0, 0, 0), *distinct_colors(tidy, {})), background=0)
            self._current = Question(table, text)
        return tuple(notes)

    def prepare(self, image: UInt8Array) -> UInt8Array:
        """The image in the network's square: uint8 [H, W, 3] to uint8 [1, S, S, 3].

        Raises:
            UsageError: the image is not uint8 RGB.
        """
        check_image(image)
        return letterbox(image, self._referring.size, self.spec.border)[None]

    def infer(self, prepared: UInt8Array) -> tuple[npt.NDArray[np.float32], ClassTable]:
        """Probability of each sentence, float32 [S, h, h] over the square, and the table that they belong to.

        Raises:
            RssegError: the engine failed.
        """
        question = self.question  # once: it may change while this runs
        vision = self._vision.infer({"image": prepared})
        count = len(question.table) - 1
        logits = []
        for begin in range(0, count, self._together):
            text = {name: value[begin : begin + self._together] for name, value in question.text.items()}
            logits.append(self._fusion.infer({**vision, **text}, ("mask_logits",))["mask_logits"])
        found = np.concatenate(logits)
        if found.ndim != 3 or len(found) != count:
            raise RssegError(f"the network gave {list(found.shape)} for {count} sentences")
        probability = 1 / (1 + np.exp(-found))
        return probability.astype(np.float32), question.table

    def finish(self, image: UInt8Array, raw: tuple[npt.NDArray[np.float32], ClassTable]) -> Segmentation:
        """Bring what :meth:`infer` gave to the size of the image; where masks overlap, the likelier one is shown.

        The confidence is the probability of what is shown: of the sentence, or of none of them.
        """
        return self._decide(image, *raw)

    def infer_scores(self, prepared: UInt8Array) -> tuple[npt.NDArray[np.float32], ClassTable]:
        """See :class:`rsseg_edge.temporal.segmenter.GridSegmenter`.

        Raises:
            RssegError: the engine failed.
        """
        return self.infer(prepared)

    def score_grid(self, image: UInt8Array, raw: tuple[npt.NDArray[np.float32], ClassTable]) -> ScoreGrid:
        """See :class:`rsseg_edge.temporal.segmenter.GridSegmenter`; the scores are the sentences' probabilities."""
        probabilities, table = raw
        cells, (height, width) = probabilities.shape[1], image.shape[:2]
        across, down = cells * width / max(height, width), cells * height / max(height, width)
        box = ((cells - across) / 2, (cells - down) / 2, across, down)
        return ScoreGrid(probabilities, box, table, lambda image, scores: self._decide(image, scores, table))

    def _decide(self, image: UInt8Array, probabilities: npt.NDArray[np.float32], table: ClassTable) -> Segmentation:
        import cv2

        height, width = image.shape[:2]
        threshold = self._referring.threshold
        masks = np.empty((len(probabilities), height, width), bool)
        best = np.zeros((height, width), np.float32)
        class_map = np.zeros((height, width), np.uint8)
        for index, probability in enumerate(probabilities):
            side = self._referring.size
            square = cv2.resize(probability, (side, side), interpolation=cv2.INTER_LINEAR)
            full = from_letterbox(np.asarray(square, np.float32), height, width)
            np.greater(full, threshold, out=masks[index])
            class_map[masks[index] & (full > best)] = index + 1
            np.maximum(best, full, out=best)
        shown = np.where(class_map > 0, best, 1 - best)
        confidence = (255 * shown.clip(0, 1)).round().astype(np.uint8)
        return Segmentation(class_map, confidence, table, masks)

    def __call__(self, image: UInt8Array) -> Segmentation:
        """Segment one image; see :class:`rsseg_edge.segmenter.Segmenter`."""
        return self.finish(image, self.infer(self.prepare(image)))

    def close(self) -> None:
        """Release the engines."""
        for engine in (self._text, self._vision, self._fusion):
            engine.close()

    def _encoded(self, sentence: str, tokens: npt.NDArray[np.int64]) -> Features:
        if sentence not in self._features:
            row = without_padding(tokens[None]) if self._any_length else tokens[None]
            self._features[sentence] = self._text.infer({"tokens": row})
        self._features.move_to_end(sentence)
        while len(self._features) > _KEPT:
            self._features.popitem(last=False)
        return self._features[sentence]


def _once(say: Say) -> Say:
    """Tells a line once: two graphs mostly get the same engine for the same reason."""
    told: set[str] = set()

    def tell(line: str) -> None:
        if line not in told:
            told.add(line)
            say(line)

    return tell
