"""Flicker: pixels that change their class from one frame to the next though the picture, moved, stays the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rsseg_edge.sinks.base import Sink
from rsseg_edge.temporal.motion import MotionEstimator, places_in_reference, small_grey
from rsseg_edge.types import ClassTable, Result, UInt8Array

ALIKE = 0.5  # reliability of the motion from which a pixel counts as the same place


class FlickerMeter:
    """Compares each frame of a video with the one before, at the pixels of the small grey picture.

    Attributes:
        compared: pixels that showed what they had shown, motion taken into account.
        changed: those of them whose class was another one.
    """

    def __init__(self) -> None:
        self.compared = self.changed = 0
        self._estimator = MotionEstimator()
        self._before: tuple[UInt8Array, UInt8Array, ClassTable] | None = None

    @property
    def share(self) -> float | None:
        """``changed`` of ``compared``, 0..1; None where nothing could be compared."""
        return self.changed / self.compared if self.compared else None

    def add(self, image: UInt8Array, class_map: UInt8Array, table: ClassTable) -> npt.NDArray[np.bool_] | None:
        """Compare a frame with the one before.

        Args:
            image: uint8 [H, W, 3] RGB.
            class_map: uint8 [H, W].
            table: its classes; nothing is compared where they are others than before.

        Returns:
            bool [h, w]: which pixels of the grey picture were compared; None at a first frame and at cuts.
        """
        grey, before = small_grey(image), self._before
        self._before = (grey, class_map, table)
        if before is None or before[2] is not table or before[1].shape != class_map.shape:
            return None
        motion = self._estimator.estimate(grey, before[0])
        if motion is None:
            return None
        same = motion.reliability > ALIKE
        still = np.zeros_like(motion.flow)
        changed = _sampled(class_map, still) != _sampled(before[1], motion.flow)
        self.compared += int(np.count_nonzero(same))
        self.changed += int(np.count_nonzero(changed & same))
        return np.asarray(same)


class Flicker(Sink):
    """Measures the frames that pass, and writes nothing.

    Attributes:
        meter: with what was counted so far.
    """

    def __init__(self) -> None:
        self.meter = FlickerMeter()

    def write(self, result: Result) -> None:
        """Compare with the frame before."""
        self.meter.add(result.frame.image, result.segmentation.class_map, result.segmentation.table)


def _sampled(class_map: UInt8Array, flow: npt.NDArray[np.float32]) -> UInt8Array:
    """Classes, uint8 [h, w], at the places of a class map of full size, unscaled, that a flow leads to."""
    size, small = np.array(class_map.shape[::-1]), np.array(flow.shape[1::-1])
    places = np.rint((places_in_reference(flow) + 0.5) * (size / small) - 0.5).astype(np.intp)
    columns, rows = np.moveaxis(places.clip(0, size - 1), -1, 0)
    return np.asarray(class_map[rows, columns])
