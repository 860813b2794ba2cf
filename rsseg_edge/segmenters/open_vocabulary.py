"""Open vocabulary: classes are words, and change from one frame to the next without another network (METHODS 3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg_edge.bundle import Bundle, VocabularySpec
from rsseg_edge.engines.base import Engine
from rsseg_edge.engines.choose import EngineName, Say, open_engine
from rsseg_edge.engines.graph_file import read_graph
from rsseg_edge.engines.shared import BatchCounts
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.postprocess.enlarge import at_size_of
from rsseg_edge.preprocess.check import check_image
from rsseg_edge.preprocess.fit import Fit, to_canvas
from rsseg_edge.preprocess.windows import windows
from rsseg_edge.prompts.vocabulary import parse_classes
from rsseg_edge.prompts.words import WordFeatures
from rsseg_edge.segmenters.scene_queries import SceneQueries
from rsseg_edge.segmenters.word_classes import WordClasses, class_table
from rsseg_edge.temporal.score_grid import ScoreGrid
from rsseg_edge.types import ClassTable, Segmentation, UInt8Array

BATCH_VALUES, KERNEL = 1 << 25, 64
"""Values that one call of the network may hold at its largest: 128 MB. A pixel has a cosine for every word, and about
so many weights of its SimFeatUp kernel; more words mean fewer windows at once."""


@dataclass(frozen=True)
class Change:
    """What a change of the vocabulary took: words that had to be encoded, and seconds in all."""

    encoded: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image in windows.

    Attributes:
        size: height and width of the image at the working size, pixels.
        places: top and left of each window's content, and its height and width.
        crops: uint8 [n, S, S, 3]: content in the middle of the border colour where it is smaller than S.
    """

    size: tuple[int, int]
    places: tuple[tuple[int, int, int, int], ...]
    crops: UInt8Array


class OpenVocabularySegmenter:
    """Segments into any classes that are named. See :class:`rsseg_edge.segmenter.Segmenter`.

    Args:
        bundle: of an open vocabulary.
        long_side: images are scaled, up or down, to this longer side, in pixels.
        threads: cores of one inference; None takes all.
        engine: what runs the network; sentences are encoded on the CPU, once a word.
        say: told which engine runs and why; see :func:`rsseg_edge.segmenter.load`.
        shared: counts what several threads infer together; see there, too.

    Attributes:
        fast: windows side by side in place of half overlapping, and cosines enlarged bilinearly in place of by
            SimFeatUp: a fraction of the work for a nearly equal map.

    Example:
        >>> segmenter = rsseg_edge.load("segearth-ov-tiny")
        >>> segmenter.set_classes(["building,roof", "road", "solar panel"])
    """

    at_once = 1
    score_stride = 4  # its windows see patches of 16 pixels; scores of a wide scene at full size would not fit memory

    def __init__(
        self,
        bundle: Bundle,
        *,
        long_side: int,
        threads: int | None = None,
        engine: EngineName = "auto",
        say: Say | None = None,
        shared: BatchCounts | None = None,
    ) -> None:
        manifest = bundle.manifest
        assert manifest.vocabulary is not None, "the manifest was validated"
        self._vocabulary_spec: VocabularySpec = manifest.vocabulary
        self.spec = manifest.input
        self.long_side = long_side
        self.fast = False
        # A window's result does not depend on the other windows, nor a word's cosines on the other words.
        pad = (("crops", 0), ("text", 0))
        self._engine: Engine = open_engine(
            read_graph(bundle), threads=threads, engine=engine, say=say, pad=pad, join=pad[0], shared=shared
        )
        self._words = WordFeatures(bundle, threads=threads)
        self._colors = {c.name: c.color for c in manifest.classes}
        self._current: WordClasses | None = None
        if manifest.vocabulary.words:
            self.set_classes(manifest.vocabulary.words)

    @property
    def vocabulary(self) -> WordClasses:
        """What the next image is segmented into.

        Raises:
            UsageError: the bundle names no classes, and none were set.
        """
        if self._current is None:
            raise UsageError("no classes: name them, for instance --classes 'building,roof; road; water'")
        return self._current

    @property
    def table(self) -> ClassTable:
        """Names and colours of the current classes."""
        return self.vocabulary.table

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        return self.table.names

    def set_classes(
        self, classes: Sequence[str], *, background: str | None = None, threshold: float | None = None
    ) -> Change:
        """Segment into other classes from the next image on. May be called from any thread.

        Args:
            classes: each a string of comma-separated synonyms; the first is its name.
            background: synonyms of what is none of them: such pixels are neither drawn nor counted.
            threshold: a pixel whose best class has a smaller probability, 0..1, is background; None takes the bundle's.

        Raises:
            UsageError: no class, an empty or repeated word, too many, a word that cannot be encoded, a threshold out of
                its range.
        """
        begin = time.perf_counter()
        spec = self._vocabulary_spec
        threshold = spec.prob_threshold if threshold is None else threshold
        if not 0 <= threshold < 1:
            raise UsageError(f"threshold {threshold:g}: a probability from 0 up to, not including, 1")
        parsed = parse_classes([*classes, background] if background else list(classes), spec.max_queries)
        text, encoded = self._words.features(parsed.words)
        table = class_table(classes, background, threshold, self._colors)
        index = np.asarray(parsed.class_index, np.int64)
        self._current = WordClasses(table, text, index, table.background or 0, threshold, spec.logit_scale)
        return Change(encoded, time.perf_counter() - begin)

    def prepare(self, image: UInt8Array) -> Prepared:
        """Scale an image and cut it into windows.

        Raises:
            UsageError: the image is not uint8 RGB.
        """
        check_image(image)
        scale = self.long_side / max(image.shape[:2])
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        return self._cut(to_canvas(image, Fit((height, width), (height, width))))

    def _cut(self, scaled: UInt8Array) -> Prepared:
        height, width = scaled.shape[:2]
        side = self._vocabulary_spec.crop
        stride = side if self.fast else self._vocabulary_spec.stride
        places = tuple(
            (top, left, bottom - top, right - left)
            for top, bottom in windows(height, side, stride)
            for left, right in windows(width, side, stride)
        )
        crops = np.empty((len(places), side, side, 3), np.uint8)
        crops[:] = self.spec.border
        for crop, (top, left, h, w) in zip(crops, places, strict=True):
            y, x = (side - h) // 2, (side - w) // 2
            crop[y : y + h, x : x + w] = scaled[top : top + h, left : left + w]
        return Prepared((height, width), places, crops)

    def infer(self, prepared: Prepared) -> tuple[UInt8Array, UInt8Array, ClassTable]:
        """Class map and confidence at the working size, uint8 [h, w] each, and the classes that they are of.

        Raises:
            RssegError: the engine failed.
        """
        vocabulary = self.vocabulary  # once: it may change while this runs
        return (*vocabulary.decide(self._cosines(prepared, vocabulary)), vocabulary.table)

    def finish(self, image: UInt8Array, raw: tuple[UInt8Array, UInt8Array, ClassTable]) -> Segmentation:
        """Bring what :meth:`infer` gave back to the size of the image."""
        return at_size_of(image, *raw)

    def infer_scores(self, prepared: Prepared) -> tuple[npt.NDArray[np.float32], WordClasses, tuple[int, int]]:
        """See :class:`rsseg_edge.temporal.segmenter.GridSegmenter`.

        Raises:
            RssegError: the engine failed.
        """
        vocabulary = self.vocabulary  # once: it may change while this runs
        return self._cosines(prepared, vocabulary), vocabulary, prepared.size

    def score_grid(
        self, image: UInt8Array, raw: tuple[npt.NDArray[np.float32], WordClasses, tuple[int, int]]
    ) -> ScoreGrid:
        """See :class:`rsseg_edge.temporal.segmenter.GridSegmenter`; the scores are the words' cosines, halved."""
        import cv2

        cosines, vocabulary, (height, width) = raw
        half = (max(1, width // 2), max(1, height // 2))
        scores = np.stack([cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in cosines])

        def decide(image: UInt8Array, scores: npt.NDArray[np.float32]) -> Segmentation:
            full = np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in scores])
            return at_size_of(image, *vocabulary.decide(full), vocabulary.table)

        return ScoreGrid(scores, (0.0, 0.0, *half), vocabulary.table, decide)

    def serve(self, at_once: int) -> None:
        """It takes one: its network's memory is large."""

    def queries(self, image: UInt8Array) -> None:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`: the words are the same in every window."""

    def start_scores(
        self, image: UInt8Array, queries: SceneQueries | None = None
    ) -> Callable[[], npt.NDArray[np.float32]]:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`; the scores are the words' cosines."""
        import cv2

        cosines = self._cosines(self._cut(image), self.vocabulary)
        height, width = (side // self.score_stride for side in image.shape[:2])
        # Now, though it could be later: cosines at full size are the most that this network keeps.
        scores = np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA) for plane in cosines])
        return lambda: scores

    def decide(self, scores: npt.NDArray[np.float32]) -> tuple[UInt8Array, UInt8Array]:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`."""
        return self.vocabulary.decide(scores)

    def decide_enlarged(self, scores: npt.NDArray[np.float32]) -> None:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`."""

    def probabilities(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`: that of the best of a class's words."""
        return self.vocabulary.probabilities(scores)

    def __call__(self, image: UInt8Array) -> Segmentation:
        """Segment one image; see :class:`rsseg_edge.segmenter.Segmenter`."""
        return self.finish(image, self.infer(self.prepare(image)))

    def close(self) -> None:
        """Release the engines."""
        self._engine.close()
        self._words.close()

    def _cosines(self, prepared: Prepared, vocabulary: WordClasses) -> npt.NDArray[np.float32]:
        """The mean of all windows that see a pixel: float32 [Q, h, w]."""
        side, queries = self._vocabulary_spec.crop, len(vocabulary.text)
        coarse = "coarse_cosines"  # absent where the bundle has no SimFeatUp: its cosines are coarse
        name = coarse if self.fast and coarse in self._engine.outputs else "cosines"
        total = np.zeros((queries, *prepared.size), np.float32)
        count = np.zeros(prepared.size, np.float32)
        batch = max(1, BATCH_VALUES // ((queries + KERNEL) * side * side))
        for begin in range(0, len(prepared.places), batch):
            crops = prepared.crops[begin : begin + batch]
            found = self._engine.infer({"crops": crops, "text": vocabulary.text}, (name,))[name]
            if found.shape != (len(crops), queries, side, side):
                raise RssegError(f"the network gave {list(found.shape)} for {len(crops)} windows and {queries} words")
            for cosines, (top, left, h, w) in zip(found, prepared.places[begin : begin + batch], strict=True):
                y, x = (side - h) // 2, (side - w) // 2
                total[:, top : top + h, left : left + w] += cosines[:, y : y + h, x : x + w]
                count[top : top + h, left : left + w] += 1
        total /= count
        return total
