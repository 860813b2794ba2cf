"""Semantic segmentation: one graph, whose classes were chosen when it was trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rsseg_edge.bundle import InputSpec
from rsseg_edge.engines.base import Engine, Pending
from rsseg_edge.errors import RssegError
from rsseg_edge.kernels.upsample_decide.native import upsample_decide
from rsseg_edge.postprocess.enlarge import at_size_of
from rsseg_edge.preprocess.check import check_image
from rsseg_edge.preprocess.fit import Fit, fit_size, to_canvas
from rsseg_edge.segmenters.scene_queries import SceneQueries
from rsseg_edge.temporal.score_grid import ScoreGrid
from rsseg_edge.types import ClassTable, Segmentation, UInt8Array


class SemanticSegmenter:
    """A graph with its own classes. See :class:`rsseg_edge.segmenter.Segmenter`.

    Args:
        engine: runs the graph.
        table: names and colours of its classes.
        spec: how an image becomes its input.
        long_side: images with a longer side are scaled down to it, in pixels.
    """

    score_stride = 4

    def __init__(self, engine: Engine, table: ClassTable, spec: InputSpec, *, long_side: int) -> None:
        self.table = table
        self.spec = spec
        self.long_side = long_side
        self._engine = engine

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the indices of a class map."""
        return self.table.names

    def prepare(self, image: UInt8Array) -> UInt8Array:
        """The graph's input for an image: uint8 [H, W, 3] to uint8 [1, h, w, 3].

        Raises:
            UsageError: the image is not uint8 RGB.
        """
        check_image(image)
        return np.ascontiguousarray(to_canvas(image, self._fit(image))[None])

    def infer(self, prepared: UInt8Array) -> Pending:
        """Run the graph on what :meth:`prepare` gave: class map and confidence, uint8 [1, h, w] each.

        On a GPU it only sets off; :meth:`finish` waits for it, and the next frame's input goes up meanwhile.
        """
        return self._engine.start({"image": prepared}, ("class_map", "confidence"))

    def finish(self, image: UInt8Array, raw: Pending) -> Segmentation:
        """Bring what :meth:`infer` gave back to the size of the image."""
        height, width = self._fit(image).content
        found = raw.result()
        class_map, confidence = (found[name][0, :height, :width] for name in ("class_map", "confidence"))
        return at_size_of(image, class_map, confidence, self.table)

    def infer_scores(self, prepared: UInt8Array) -> Pending:
        """See :class:`rsseg_edge.temporal.segmenter.GridSegmenter`.

        Raises:
            RssegError: the graph gives no logits.
        """
        self._require_logits()
        return self._engine.start({"image": prepared}, ("logits",))

    def score_grid(self, image: UInt8Array, raw: Pending) -> ScoreGrid:
        """See :class:`rsseg_edge.temporal.segmenter.GridSegmenter`; the scores are the classes' shares."""
        shares = _shares(raw.result()["logits"][0])
        fit = self._fit(image)
        down, across = (fit.content[axis] * shares.shape[1 + axis] / fit.canvas[axis] for axis in (0, 1))
        return ScoreGrid(shares, (0.0, 0.0, across, down), self.table, self._decide_grid)

    def _decide_grid(self, image: UInt8Array, shares: npt.NDArray[np.float32]) -> Segmentation:
        import cv2

        fit = self._fit(image)
        height, width = fit.content
        full = np.stack([cv2.resize(share, fit.canvas[::-1], interpolation=cv2.INTER_LINEAR) for share in shares])
        return at_size_of(image, *self.decide(full[:, :height, :width]), self.table)

    def __call__(self, image: UInt8Array) -> Segmentation:
        """Segment one image.

        Args:
            image: uint8 [H, W, 3] RGB, any size.

        Raises:
            UsageError: the image is of another type or shape.
            RssegError: the engine failed.
        """
        return self.finish(image, self.infer(self.prepare(image)))

    @property
    def at_once(self) -> int:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`."""
        return self._engine.at_once

    def serve(self, at_once: int) -> None:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`."""
        self._engine.serve(at_once)

    def queries(self, image: UInt8Array) -> SceneQueries | None:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`; None for a graph that was exported without them."""
        names = ("mask_queries", "query_shares")
        if not {*names, "pixel_features"} <= set(self._engine.outputs):
            return None
        # All outputs: for a few windows an engine need not get ready for these alone.
        found = self._engine.infer({"image": np.ascontiguousarray(image[None])})
        masks, shares = (found[name][0].astype(np.float32) for name in names)
        return SceneQueries(masks, shares)

    def start_scores(
        self, image: UInt8Array, queries: SceneQueries | None = None
    ) -> Callable[[], npt.NDArray[np.float32]]:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`; the scores are the classes' shares, which sum to 1.

        Raises:
            RssegError: the graph gives no logits.
        """
        self._require_logits()
        name = "logits" if queries is None else "pixel_features"
        raw = self._engine.start({"image": np.ascontiguousarray(image[None])}, (name,))
        expected = (len(self.table), *(side // self.score_stride for side in image.shape[:2]))

        def finish() -> npt.NDArray[np.float32]:
            found = raw.result()[name][0].astype(np.float32, copy=False)
            shares = _shares(found) if queries is None else queries.scores(found)
            if shares.shape != expected:
                raise RssegError(f"the graph gave {name} {list(found.shape)} for a window that wants {list(expected)}")
            return shares

        return finish

    def decide(self, scores: npt.NDArray[np.float32]) -> tuple[UInt8Array, UInt8Array]:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`; between equal shares the first class wins."""
        import cv2

        best = np.array(scores[0], np.float32)
        class_map = np.zeros(best.shape, np.uint8)
        for index, share in enumerate(scores[1:], 1):
            better = (share > best).view(np.uint8)
            better *= index
            np.maximum(class_map, better, out=class_map)
            np.maximum(best, share, out=best)
        return class_map, np.asarray(cv2.convertScaleAbs(best, alpha=255), np.uint8)

    def decide_enlarged(self, scores: npt.NDArray[np.float32]) -> tuple[UInt8Array, UInt8Array] | None:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`: by one kernel, which never writes the enlarged shares."""
        return upsample_decide(scores)

    def probabilities(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See :class:`rsseg_edge.segmenter.ScoringSegmenter`: the shares themselves."""
        return scores

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()

    def _require_logits(self) -> None:
        if "logits" not in self._engine.outputs:
            raise RssegError("this bundle's graph gives no logits, so that scores cannot be blended: export it again")

    def _fit(self, image: UInt8Array) -> Fit:
        spec = self.spec
        canvas = (spec.height, spec.width) if spec.height and spec.width else None
        return fit_size(*image.shape[:2], long_side=self.long_side, multiple=spec.multiple_of, canvas=canvas)


def _shares(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Softmax over the classes, float32 [K, h, w]."""
    shares: npt.NDArray[np.float32] = np.exp(logits - logits.max(0), dtype=np.float32)
    shares /= shares.sum(0)
    return shares
