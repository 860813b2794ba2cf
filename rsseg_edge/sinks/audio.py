"""Audio of the input video, copied into the output without a new encoding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any


class AudioCopy:
    """The audio streams of a file, fed to an output beside its video.

    Opens the file a second time: reading costs little, and the video's path stays free of audio.

    Args:
        source: the input video.
        output: the opened output; its header is not written yet.

    Attributes:
        left_out: names of the codecs that the output's container does not take.
    """

    def __init__(self, source: Path, output: Any) -> None:
        import av

        self._container = av.open(str(source))
        self._output = output
        self._streams = {}
        self.left_out: list[str] = []
        for stream in self._container.streams.audio:
            try:
                self._streams[stream] = output.add_stream_from_template(stream)
            except ValueError:  # the muxer does not know the codec
                self.left_out.append(stream.codec_context.name)
        video = self._container.streams.video[0]
        # Rounded down by a frame: headers round the duration of a video in either direction.
        self._video_end = (
            float(((video.start_time or 0) + video.duration) * video.time_base - 1 / (video.average_rate or 25))
            if video.duration
            else 0.0
        )
        self._packets = self._demux()
        self._next = next(self._packets, None)

    def skip_until(self, seconds: float) -> None:
        """Leave out what comes before the first frame of an excerpt."""
        while self._next is not None and self._time() < seconds:
            self._next = next(self._packets, None)

    def copy_until(self, seconds: float) -> None:
        """Write the packets that come before a time and were not written yet."""
        while self._next is not None and self._time() < seconds:
            self._next.stream = self._streams[self._next.stream]
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def finish(self, seconds: float) -> None:
        """Write what belongs to the frames up to a time: all the rest, where the video ends there too."""
        self.copy_until(seconds if seconds < self._video_end else float("inf"))

    def _time(self) -> float:
        assert self._next is not None
        return float(self._next.pts * self._next.time_base)

    def close(self) -> None:
        """Release the input."""
        self._container.close()

    def _demux(self) -> Iterator[Any]:
        import av

        if not self._streams:
            return
        try:
            for packet in self._container.demux(tuple(self._streams)):
                if packet.pts is not None and packet.size:
                    yield packet
        except av.error.FFmpegError:
            return  # the video source meets the same damage and says so
