"""Decoded pictures made into frames: upright, all of one size, 8 bits, RGB and planes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from rsseg_edge.types import ColorTags, Frame, Planes, Report, UInt8Array, VideoFormat

RGB_MATRIX = 6  # BT.601: what swscale writes when a frame that has no matrix (RGB inside H.265, say) becomes YCbCr
PLANAR = ("yuv420p", "yuvj420p")
FULL_RANGE = 2  # AVCOL_RANGE_JPEG


class Pictures:
    """Frames like the first picture. Pictures are turned by the rotation that their stream asks for.

    Args:
        name: of the input, for messages.
        stem: what outputs of its frames are called.
        path: the file; None for a live stream.
        stream: FFmpeg's.
        picture: the first one.
        rate: frames a second of what is given on.
        time_base: seconds per unit of the frames' time stamps.
        report: told where the size changes.

    Attributes:
        video: what the frames are like.
    """

    def __init__(
        self,
        name: str,
        stem: str,
        path: Path | None,
        stream: Any,
        picture: Any,
        rate: Fraction,
        time_base: Fraction,
        report: Report,
    ) -> None:
        import av

        self._name, self._stem, self._report = name, stem, report
        self._reformatter = av.video.reformatter.VideoReformatter()
        turned = picture.rotation % 180 == 90
        width, height = (picture.height, picture.width) if turned else (picture.width, picture.height)
        self._size, self._size_changed = (picture.width, picture.height), False
        context = stream.codec_context
        planar = picture.format.name in PLANAR
        color = ColorTags(
            matrix=int(picture.colorspace) or RGB_MATRIX,
            full_range=planar and (picture.format.name == "yuvj420p" or picture.color_range == FULL_RANGE),
            primaries=int(context.color_primaries),
            transfer=int(context.color_trc),
        )
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        self.video = VideoFormat(path, width, height, rate, time_base, 1 / aspect if turned else aspect, color=color)

    def frame(self, index: int, picture: Any, pts: int, duration: int | None, *, arrived: float | None = None) -> Frame:
        """A picture with its time stamp and duration in units of the video's time base."""
        turns = round(picture.rotation / 90) % 4  # counter-clockwise, as FFmpeg's display matrix counts
        picture = self._uniform(picture, index)
        image: UInt8Array = picture.to_ndarray(format="rgb24")
        planes = _planes(picture)
        if turns:
            image = np.ascontiguousarray(np.rot90(image, turns))
            y, cb, cr = (np.ascontiguousarray(np.rot90(plane, turns)) for plane in planes)
            planes = (y, cb, cr)
        return Frame(image, index, self._stem, pts, self.video.time_base, duration, planes, arrived)

    def _uniform(self, picture: Any, index: int) -> Any:
        """The picture as 8-bit 4:2:0 at the size and range of the first one."""
        width, height = self._size
        if (picture.width, picture.height) != self._size and not self._size_changed:
            self._size_changed = True
            self._report(
                f"{self._name}: the frame size changes to {picture.width}x{picture.height} at frame "
                f"{index}; frames are scaled to {width}x{height} from there"
            )
        elif (picture.width, picture.height) == self._size and picture.format.name in PLANAR:
            return picture
        full = self.video.color.full_range
        return self._reformatter.reformat(
            picture,
            width,
            height,
            format="yuvj420p" if full else "yuv420p",
            dst_colorspace=None if picture.colorspace else "ITU601",
            dst_color_range="JPEG" if full else "MPEG",
        )


def _planes(picture: Any) -> Planes:
    """Y, Cb and Cr of a yuv420p picture: views of the decoder's memory, which they keep alive."""
    y, cb, cr = (
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in picture.planes
    )
    return y, cb, cr
