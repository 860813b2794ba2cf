"""An overlay video: H.264 at the size, rate and time stamps of the input, with its audio and a legend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rsseg_edge.sinks.audio import AudioCopy
from rsseg_edge.sinks.base import Sink
from rsseg_edge.sinks.part_file import PartFile, named_errors
from rsseg_edge.types import Planes, Report, Result, Segmentation, VideoFormat

# Measured on aerial video of 1280x720 under an overlay, core ms a frame and Mbit/s at crf 23 and about equal PSNR:
# ultrafast 7.5 / 18.7, this 9.9 / 8.9, superfast 13.9 / 7.2, veryfast 26 / 6.6. Half-pixel search (subme) is what
# ultrafast lacks for a camera that moves. Neither has B-frames or lookahead: a frame is encoded when it comes.
X264 = {"preset": "ultrafast", "x264-params": "subme=1:aq-mode=1:deblock=0,0"}


GROUP = 50  # frames from one key frame to the next of a fragmented file: what a kill may lose


class OverlayVideo(Sink):
    """An MP4 file. Frames with an odd side get one more row or column, a copy of the last: 4:2:0 needs even sides.

    Args:
        path: the file.
        video: what the input is like.
        draw: draws a segmentation over the planes given first into those given last.
        threads: cores that the encoder may use.
        report: told about audio that an MP4 cannot hold.
        fragmented: what was written until then can be played when the process is killed, from the part file; for live
            streams, which nobody waits for the end of.
        crf: constant rate factor of x264: 18 is nearly lossless to the eye, 23 its default, 28 small.
    """

    def __init__(
        self,
        path: Path,
        video: VideoFormat,
        draw: Callable[[Planes, Segmentation, Planes], None],
        *,
        threads: int,
        report: Report,
        fragmented: bool = False,
        crf: int = 23,
    ) -> None:
        self.path = path
        self._fragmented = fragmented
        self._video, self._draw, self._threads, self._crf, self._report = video, draw, threads, crf, report
        self._part: PartFile | None = None

    def open(self) -> None:
        """Start the encoder and the part file."""
        import av

        video = self._video
        self._part = PartFile(self.path)
        with named_errors(self.path):
            # Both clocks of the MP4 tick as the input's: the track's holds the time stamps, the movie's the first one.
            ticks = str(video.time_base.denominator)
            # The file is Python's: FFmpeg itself does not report what its last flush could not write.
            options = {"video_track_timescale": ticks, "movie_timescale": ticks}
            if self._fragmented:
                options |= {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
            self._output: Any = av.open(self._part.file, "w", format="mp4", options=options)
            self._stream = self._output.add_stream("libx264", rate=video.rate)
            codec = self._stream.codec_context
            codec.width, codec.height = video.width + video.width % 2, video.height + video.height % 2
            codec.pix_fmt = "yuv420p"
            codec.time_base = video.time_base
            codec.sample_aspect_ratio = video.pixel_aspect
            codec.color_range = 2 if video.color.full_range else 1
            codec.colorspace = video.color.matrix
            codec.color_primaries = video.color.primaries
            codec.color_trc = video.color.transfer
            codec.options = {**X264, "crf": str(self._crf), "threads": str(self._threads)}
            if self._fragmented:
                codec.options |= {"g": str(GROUP)}
            self._audio = AudioCopy(video.path, self._output) if video.path else None
            self._output.start_encoding()
        for name in self._audio.left_out if self._audio else ():
            self._report(f"{self.path}: audio of kind {name} does not fit into an MP4; it is left out")
        # One picture for all frames: x264 copies its input before encode() returns.
        self._picture = av.VideoFrame(codec.width, codec.height, "yuv420p")
        self._picture.time_base = video.time_base
        self._canvas = [
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
            for plane in self._picture.planes
        ]
        self._end: float | None = None  # of the last frame, seconds

    def write(self, result: Result) -> None:
        """Draw and encode one frame.

        Raises:
            RssegError: the file system refuses.
        """
        frame = result.frame
        assert frame.planes is not None, "an overlay video takes the frames of a video"
        assert frame.pts is not None
        assert frame.time is not None
        y, cb, cr = (c[: p.shape[0], : p.shape[1]] for c, p in zip(self._canvas, frame.planes, strict=True))
        self._draw(frame.planes, result.segmentation, (y, cb, cr))
        self._canvas[0][y.shape[0] :] = self._canvas[0][y.shape[0] - 1]
        self._canvas[0][:, y.shape[1] :] = self._canvas[0][:, y.shape[1] - 1 : y.shape[1]]
        self._picture.pts = frame.pts
        self._picture.duration = frame.duration or 0
        self._picture.pict_type = 0  # the encoder chooses
        step = frame.duration * self._video.time_base if frame.duration else 1 / self._video.rate
        with named_errors(self.path):
            if self._audio and self._end is None and frame.index > 0:
                self._audio.skip_until(frame.time)
            self._output.mux(self._stream.encode(self._picture))
            if self._audio:
                self._audio.copy_until(frame.time)
            if self._fragmented and self._part is not None:
                self._part.file.flush()
        self._end = frame.time + float(step)

    def close(self) -> None:
        """Finish the video and publish it; without a single frame nothing is published."""
        if self._part is None or self._end is None:
            self.discard()
            return
        try:
            with named_errors(self.path):
                self._output.mux(self._stream.encode(None))
                if self._audio:
                    self._audio.finish(self._end)
                self._output.close()
        except BaseException:
            self.discard()
            raise
        if self._audio:
            self._audio.close()
        self._part.publish()

    def discard(self) -> None:
        """Drop the video."""
        if self._part is not None:
            self._part.discard()
