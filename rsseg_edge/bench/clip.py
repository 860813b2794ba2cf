"""Write images as a video: input for measurements, demonstrations and tests."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from rsseg_edge.types import UInt8Array


def write_clip(path: Path, images: Iterable[UInt8Array], *, rate: Fraction | int = 25, crf: int = 20) -> None:
    """Encode images as H.264 in the container of the file's suffix.

    Args:
        path: the file, replaced where it exists.
        images: uint8 [H, W, 3] RGB, all of one size with even sides.
        rate: frames a second.
        crf: constant rate factor of x264.
    """
    import av

    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": str(crf)})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.color_range = 1
        for index, image in enumerate(images):
            if index == 0:
                stream.height, stream.width = image.shape[:2]
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts = index
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
