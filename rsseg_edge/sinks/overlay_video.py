"""An overlay video: H.264 at the size, rate and time stamps of the input, with its audio and a legend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsseg_edge.sinks.audio import AudioCopy
from rsseg_edge.sinks.file_sink import FileSink
from rsseg_edge.sinks.overlay_encoder import Draw, OverlayEncoder
from rsseg_edge.sinks.part_file import named_errors
from rsseg_edge.types import Report, Result, VideoFormat

FORMATS: Mapping[str, str] = {".mp4": "mp4", ".mkv": "matroska"}
"""Container by suffix."""
FRAGMENT = 1_000_000  # microseconds of a fragment or cluster: what a kill may lose


class OverlayVideo(FileSink):
    """An MP4 or Matroska file. What was written until then can be played from the part file when the process is killed:
    an MP4 is written in fragments. Closing makes it into a plain one, for which an index is kept (some 70 bytes a
    frame), but for a live stream's, which may go on for days in memory that does not grow.

    Args:
        path: the file; its suffix is one of :data:`FORMATS`.
        video: what the input is like.
        draw: draws a segmentation over the planes given first into those given last.
        threads: cores that the encoder may use.
        report: told about audio that the container cannot hold.
        crf: constant rate factor of x264: 18 is nearly lossless to the eye, 23 its default, 28 small.
    """

    def __init__(
        self, path: Path, video: VideoFormat, draw: Draw, *, threads: int, report: Report, crf: int = 23
    ) -> None:
        super().__init__(path)
        self._video, self._draw, self._threads, self._crf, self._report = video, draw, threads, crf, report

    def open(self) -> None:
        """Start the encoder and the part file."""
        import av

        video = self._video
        super().open()
        with named_errors(self.path):
            # The file is Python's: FFmpeg itself does not report what its last flush could not write.
            kind = FORMATS[self.path.suffix.lower()]
            self._output: Any = av.open(self._file, "w", format=kind, options=_options(kind, video))
            self._stream = self._output.add_stream("libx264", rate=video.rate)
            options = {"crf": str(self._crf), "threads": str(self._threads)}
            self._encoder = OverlayEncoder(self._stream.codec_context, video, self._draw, options)
            self._audio = AudioCopy(video.path, self._output) if video.path else None
            self._output.start_encoding()
        for name in self._audio.left_out if self._audio else ():
            self._report(f"{self.path}: audio of kind {name} does not fit into this file; it is left out")
        self._end: float | None = None  # of the last frame, seconds

    def write(self, result: Result) -> None:
        """Draw and encode one frame.

        Raises:
            RssegError: the file system refuses.
        """
        frame = result.frame
        assert frame.time is not None
        step = frame.duration * self._video.time_base if frame.duration else 1 / self._video.rate
        with named_errors(self.path):
            if self._audio and self._end is None and frame.index > 0:
                self._audio.skip_until(frame.time)
            self._mux(self._encoder.encode(result))
            if self._audio:
                self._audio.copy_until(frame.time)
            self._file.flush()
        self._end = frame.time + float(step)

    def close(self) -> None:
        """Finish the video and publish it; without a single frame nothing is published."""
        if self._part is None or self._end is None:
            self.discard()
            return
        try:
            with named_errors(self.path):
                self._mux(self._encoder.flush())
                if self._audio:
                    self._audio.finish(self._end)
                self._output.close()
        except BaseException:
            self.discard()
            raise
        if self._audio:
            self._audio.close()
        super().close()

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            packet.stream = self._stream
            self._output.mux(packet)


def _options(kind: str, video: VideoFormat) -> dict[str, str]:
    if kind == "matroska":
        return {"cluster_time_limit": str(FRAGMENT // 1000), "flush_packets": "1"}
    # Both clocks of the MP4 tick as the input's: the track's holds the time stamps, the movie's the first one.
    ticks = str(video.time_base.denominator)
    lasting = "hybrid_fragmented+" if video.path else ""
    return {
        "video_track_timescale": ticks,
        "movie_timescale": ticks,
        "movflags": f"{lasting}delay_moov+default_base_moof",  # delay_moov: else the first time stamp is lost
        "frag_duration": str(FRAGMENT),
        "flush_packets": "1",
    }
