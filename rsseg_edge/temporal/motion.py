"""Where each pixel of a frame was in an earlier one: dense optical flow on a small grey picture.

DIS flow (Kroeger et al., ECCV 2016) finds shifts of up to a tenth of the picture, turned cameras and parallax alike.
Where it does not, its start is at fault, not its patches: phase correlation finds any common shift, and starts it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.preprocess.fit import Fit, to_canvas
from rsseg_edge.types import UInt8Array

Float32Array = npt.NDArray[np.float32]

SIDE = 320  # pixels: the flow then takes 2 ms, and is as good as a homography of features that takes 3 to 7
LEAST_SIDE = 64  # pixels: at the top of its pyramid, which the width sets, DIS reads beyond lower pictures and crashes
CUT = 0.5  # correlation: frames of one shot reach 0.8 and more, of unlike scenes 0.3 at most
POOR = 0.8  # correlation below which another start is tried
SAME, OTHER = 10.0, 40.0  # grey levels that coding and noise explain, and that only another object does


@dataclass(frozen=True, eq=False)
class Motion:
    """From a picture back to its reference.

    Attributes:
        flow: float32 [h, w, 2]: x and y, in pixels, to be added to a pixel's place to find it in the reference.
        reliability: float32 [h, w], 0..1: whether what was found there looks the same; 0 where it lies outside.
        overlap: share of the pixels that lie inside the reference, 0..1.
        correlation: of the picture with the reference brought onto it, -1..1.
    """

    flow: Float32Array
    reliability: Float32Array
    overlap: float
    correlation: float


def small_grey(image: UInt8Array) -> UInt8Array:
    """An image, uint8 [H, W, 3] RGB, as the grey picture that motion is found on: uint8 [h, w], longer side 320."""
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    content = (max(1, round(scale * height)), max(1, round(scale * width)))
    return np.asarray(cv2.cvtColor(to_canvas(image, Fit(content, content)), cv2.COLOR_RGB2GRAY), np.uint8)


class MotionEstimator:
    """Finds motions. Holds the buffers of the flow and nothing of earlier pictures, for the use of one thread."""

    def __init__(self) -> None:
        self._dis: Any = None
        self._shape: tuple[int, ...] = ()

    def estimate(self, grey: UInt8Array, reference: UInt8Array, expected: Float32Array | None = None) -> Motion | None:
        """The motion between two pictures of :func:`small_grey`.

        Args:
            grey: uint8 [h, w].
            reference: uint8 [h, w], of an earlier frame.
            expected: float32 [h, w, 2]: the flow if the camera goes on as it did.

        Returns:
            None where they show different things: a cut, a change of size, or a motion that cannot be found.
        """
        if grey.shape != reference.shape:
            return None
        best = self._from(grey, reference, expected)
        if best.correlation < POOR:
            if expected is not None:
                best = max(best, self._from(grey, reference, None), key=_correlation)
            if best.correlation < POOR:
                best = max(best, self._from(grey, reference, _common_shift(grey, reference)), key=_correlation)
        return best if best.correlation >= CUT else None

    def _from(self, grey: UInt8Array, reference: UInt8Array, start: Float32Array | None) -> Motion:
        import cv2

        height, width = grey.shape
        if grey.shape != self._shape:  # it crashes with pictures of another size than its first
            self._dis, self._shape = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST), grey.shape
        flow = self._dis.calc(_padded(grey), _padded(reference), None if start is None else _padded(start))
        return _judged(grey, reference, np.ascontiguousarray(flow[:height, :width], np.float32))


def _judged(grey: UInt8Array, reference: UInt8Array, flow: Float32Array) -> Motion:
    import cv2

    height, width = grey.shape
    places = places_in_reference(flow)
    found = cv2.remap(reference, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.inRange(places, (-1.0, -1.0), (float(width), float(height)))
    overlap = cv2.countNonZero(inside) / inside.size
    if not overlap:
        return Motion(flow, np.zeros(grey.shape, np.float32), 0.0, -1.0)
    (mean, std), (mean_before, std_before) = (cv2.meanStdDev(p, mask=inside) for p in (grey, found))
    # the camera's exposure follows the scene
    now, before = cv2.subtract(grey, mean, dtype=cv2.CV_32F), cv2.subtract(found, mean_before, dtype=cv2.CV_32F)
    unlike = cv2.blur(cv2.absdiff(now, before), (3, 3))
    reliability = np.clip((OTHER - unlike) / (OTHER - SAME), 0, 1, dtype=np.float32)
    reliability[inside == 0] = 0
    spread = float(std[0, 0] * std_before[0, 0])
    shared = cv2.mean(cv2.multiply(now, before), mask=inside)[0]
    # flat pictures have no correlation; they are alike
    correlation = shared / spread if spread > 1 else 1.0
    return Motion(flow, reliability, overlap, correlation)


def places_in_reference(flow: Float32Array) -> Float32Array:
    """float32 [h, w, 2]: x and y of each pixel in the reference."""
    height, width = flow.shape[:2]
    places = flow.copy()
    places[..., 0] += np.arange(width, dtype=np.float32)
    places[..., 1] += np.arange(height, dtype=np.float32)[:, None]
    return places


def _padded(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy, at least 64 pixels a side."""
    import cv2

    bottom, right = (max(0, LEAST_SIDE - side) for side in picture.shape[:2])
    return np.asarray(cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_REPLICATE))


def _common_shift(grey: UInt8Array, reference: UInt8Array) -> Float32Array:
    import cv2

    height, width = grey.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(grey.astype(np.float32), reference.astype(np.float32), window)
    return np.full((height, width, 2), shift, np.float32)


def _correlation(motion: Motion) -> float:
    return motion.correlation
