"""The overlay as H.264: drawn over the planes of a frame and encoded when it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rsseg_edge.types import Planes, Result, Segmentation, VideoFormat

# Measured on aerial video of 1280x720 under an overlay, core ms a frame and Mbit/s at crf 23 and about equal PSNR:
# ultrafast 7.5 / 18.7, this 9.9 / 8.9, superfast 13.9 / 7.2, veryfast 26 / 6.6. Half-pixel search (subme) is what
# ultrafast lacks for a camera that moves. Neither has B-frames or lookahead: a frame is encoded when it comes.
X264 = {"preset": "ultrafast", "x264-params": "subme=1:aq-mode=1:deblock=0,0"}

Draw = Callable[[Planes, Segmentation, Planes], None]
"""Draws a segmentation over the planes given first into those given last."""


class OverlayEncoder:
    """Frames with an odd side get one more row or column, a copy of the last: 4:2:0 needs even sides.

    Args:
        codec: context of libx264, not opened yet.
        video: what the input is like.
        draw: see :data:`Draw`.
        options: of x264, over those of :data:`X264`.
    """

    def __init__(self, codec: Any, video: VideoFormat, draw: Draw, options: Mapping[str, str]) -> None:
        import av

        self._codec, self._draw = codec, draw
        codec.width, codec.height = video.width + video.width % 2, video.height + video.height % 2
        codec.pix_fmt = "yuv420p"
        codec.framerate = video.rate
        codec.time_base = video.time_base
        codec.sample_aspect_ratio = video.pixel_aspect
        codec.color_range = 2 if video.color.full_range else 1
        codec.colorspace = video.color.matrix
        codec.color_primaries = video.color.primaries
        codec.color_trc = video.color.transfer
        codec.options = {**X264, **options}
        # One picture for all frames: x264 copies its input before encode() returns.
        self._picture = av.VideoFrame(codec.width, codec.height, "yuv420p")
        self._picture.time_base = video.time_base
        self._canvas = [
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
            for plane in self._picture.planes
        ]

    def encode(self, result: Result, *, key: bool = False) -> Sequence[Any]:
        """The packets of a frame, which is a key frame where ``key`` asks for one or the encoder wants to."""
        frame = result.frame
        assert frame.planes is not None, "an overlay video takes the frames of a video"
        assert frame.pts is not None
        y, cb, cr = (c[: p.shape[0], : p.shape[1]] for c, p in zip(self._canvas, frame.planes, strict=True))
        self._draw(frame.planes, result.segmentation, (y, cb, cr))
        self._canvas[0][y.shape[0] :] = self._canvas[0][y.shape[0] - 1]
        self._canvas[0][:, y.shape[1] :] = self._canvas[0][:, y.shape[1] - 1 : y.shape[1]]
        self._picture.pts = frame.pts
        self._picture.duration = frame.duration or 0
        self._picture.pict_type = int(key)  # 1: intra; 0: the encoder chooses
        packets: Sequence[Any] = self._codec.encode(self._picture)
        return packets

    def flush(self) -> Sequence[Any]:
        """The packets that the encoder still holds; nothing can be encoded after that."""
        packets: Sequence[Any] = self._codec.encode(None)
        return packets
