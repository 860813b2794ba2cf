"""Steady in time: scores of earlier frames follow the motion, into a mean or in place of the network's own.

A key frame goes through the network. Its scores are averaged with those of the key frame before, as far as these were
found again where the motion brought them, and are kept. A frame between two key frames shows the kept scores, moved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.temporal.motion import Motion, MotionEstimator, small_grey
from rsseg_edge.temporal.score_grid import ScoreGrid, blend, carry
from rsseg_edge.types import ClassTable, Segmentation, UInt8Array

SEEN = 0.8  # share of a frame, between key frames, that the last one must have shown in the same way


@runtime_checkable
class GridSegmenter(Protocol):
    """A segmenter whose scores can be had before it chooses; see :class:`rsseg_edge.segmenter.Segmenter`."""

    spec: Any
    long_side: int

    @property
    def table(self) -> ClassTable:
        """Names and colours of the classes that the next image is segmented into."""

    def prepare(self, image: UInt8Array) -> Any:
        """The network's input for an image, uint8 [H, W, 3]."""

    def infer_scores(self, prepared: Any) -> Any:
        """In place of ``infer``: run the network for :meth:`score_grid`."""

    def score_grid(self, image: UInt8Array, raw: Any) -> ScoreGrid:
        """In place of ``finish``: the scores of what :meth:`infer_scores` gave for an image."""

    def close(self) -> None:
        """Release the engines."""


@dataclass(frozen=True)
class Steadiness:
    """What earlier frames are for.

    Attributes:
        smooth: weight of the key frame before in a key frame's scores, 0..1.
        keyframes: the network sees one frame of so many; more where the motion is large.
    """

    smooth: float = 0.0
    keyframes: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.smooth < 1:
            raise UsageError(f"smoothing {self.smooth:g}: the weight of the past, from 0 up to, not including, 1")
        if self.keyframes < 1:
            raise UsageError(f"key frames {self.keyframes}: one of how many, 1 or more")

    @property
    def wanted(self) -> bool:
        """Whether earlier frames are for anything."""
        return self.smooth > 0 or self.keyframes > 1


@dataclass(frozen=True, eq=False)
class _Prepared:
    canvas: Any
    grey: UInt8Array


@dataclass(frozen=True, eq=False)
class _Step:
    """A frame that left ``infer``: what the network gave, None between key frames, and where the last key frame went.

    Attributes:
        key: number of the key frame that it is, or that it is shown by.
        motion: back to the last key frame before; None where that showed something else.
    """

    key: int
    raw: Any
    motion: Motion | None


class TemporalSegmenter:
    """A segmenter that remembers. See :class:`rsseg_edge.segmenter.Segmenter`.

    The frames of one video come in their order; some of them may be left out. ``infer`` finds the motion and knows the
    pictures, ``finish`` merges and knows the scores: each keeps its own memory, so that they may run on two threads. A
    cut, a change of size or other classes begin anew.

    Args:
        segmenter: what is made steady; closed with this.
        steadiness: how.

    Example:
        >>> segmenter = TemporalSegmenter(rsseg_edge.load("segclip-tiny"), Steadiness(smooth=0.7, keyframes=4))
        >>> results = [segmenter(image) for image in images]
    """

    def __init__(self, segmenter: GridSegmenter, steadiness: Steadiness) -> None:
        self._segmenter = segmenter
        self._steadiness = steadiness
        self.spec, self.long_side = segmenter.spec, segmenter.long_side
        self._estimator = MotionEstimator()
        # of infer
        self._reference: UInt8Array | None = None
        self._table: ClassTable | None = None
        self._since = 0  # frames after the key frame
        self._flow: npt.NDArray[np.float32] | None = None  # of the last frame, by frame
        self._key = 0
        # of finish
        self._kept: tuple[int, ScoreGrid] | None = None

    @property
    def table(self) -> ClassTable:
        """Names and colours of the classes that the next image is segmented into."""
        return self._segmenter.table

    @property
    def keyframes(self) -> int:
        """How many frames the network saw so far."""
        return self._key

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        return self.table.names

    def prepare(self, image: UInt8Array) -> _Prepared:
        """See :class:`rsseg_edge.segmenter.Segmenter`."""
        return _Prepared(self._segmenter.prepare(image), small_grey(image))

    def infer(self, prepared: _Prepared) -> _Step:
        """Find the motion, and run the network where the frame becomes a key frame."""
        self._since += 1
        due = self._since >= self._steadiness.keyframes
        motion = None if due and not self._steadiness.smooth else self._motion(prepared.grey)
        if motion is not None and not due and motion.reliability.mean() >= SEEN:
            return _Step(self._key, None, motion)
        self._reference = None  # should the network fail, the next frame is not shown by this one
        self._table = self._segmenter.table
        raw = self._segmenter.infer_scores(prepared.canvas)
        self._reference, self._since = prepared.grey, 0
        self._key += 1
        return _Step(self._key, raw, motion)

    def _motion(self, grey: UInt8Array) -> Motion | None:
        """Back to the key frame; None where there is none that this frame has anything to do with."""
        if self._reference is None or self._segmenter.table is not self._table:
            self._flow = None
            return None
        expected = None if self._flow is None else self._since * self._flow
        motion = self._estimator.estimate(grey, self._reference, expected)
        self._flow = None if motion is None else motion.flow / np.float32(self._since)
        return motion

    def finish(self, image: UInt8Array, raw: _Step) -> Segmentation:
        """Merge the scores and choose the classes.

        Raises:
            RssegError: the engine failed, at this frame or at the key frame that it is shown by.
        """
        if raw.raw is None:
            return self._between(image, raw)
        grid, kept = self._segmenter.score_grid(image, raw.raw), self._kept
        self._kept = None
        smooth = self._steadiness.smooth
        if smooth and raw.motion is not None and kept is not None:
            before = kept[1]
            if kept[0] == raw.key - 1 and before.table is grid.table and before.scores.shape == grid.scores.shape:
                earlier, reliability = carry(before, raw.motion)
                grid = blend(grid, earlier, smooth * reliability)
        self._kept = (raw.key, grid)
        return replace(grid.decide(image, grid.scores), keyframe=True)

    def _between(self, image: UInt8Array, step: _Step) -> Segmentation:
        import cv2

        if self._kept is None or self._kept[0] != step.key or step.motion is None:
            raise RssegError("the key frame that this frame is shown by was lost")
        grid, _ = carry(self._kept[1], step.motion)
        found = grid.decide(image, grid.scores)
        size = (image.shape[1], image.shape[0])
        trust = cv2.resize(cv2.convertScaleAbs(step.motion.reliability, alpha=255), size)
        confidence = np.asarray(cv2.multiply(found.confidence, trust, scale=1 / 255), np.uint8)
        return replace(found, confidence=confidence, keyframe=False)

    def __call__(self, image: UInt8Array) -> Segmentation:
        """Segment the next image; see :class:`rsseg_edge.segmenter.Segmenter`."""
        return self.finish(image, self.infer(self.prepare(image)))

    def close(self) -> None:
        """Release the engines."""
        self._segmenter.close()
