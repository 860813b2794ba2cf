"""Class maps as a video without loss: FFV1 in Matroska, grey values are class indices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rsseg_edge.sinks.base import Sink
from rsseg_edge.sinks.part_file import PartFile, named_errors
from rsseg_edge.types import ClassTable, Report, Result, VideoFormat

FULL_RANGE = 2  # AVCOL_RANGE_JPEG: a player does not stretch what are no greys
CLUSTER_MS = 1000  # of a cluster: what a kill may lose
# Version 3 with checksums. A damaged frame spoils at most those until the next key frame; were each frame one,
# Matroska's index would grow by 40 bytes a frame. The small context model is as good on class maps as the large one.
FFV1 = {"level": "3", "g": "25", "slicecrc": "1", "context": "0"}


class ClassVideo(Sink):
    """One frame of grey values for each frame of the video, at its size; its time to Matroska's millisecond.

    The tag ``CLASSES`` of the container holds the names, as a JSON list in the order of the values, ``COLORS`` their
    RGB colours. Where the classes change while the run lasts, another file begins: ``NAME.2.mkv`` and so on.

    Args:
        path: the file, ``NAME.mkv``.
        video: what the input is like.
        threads: cores that the encoder may use.
        report: told where another file begins.
    """

    def __init__(self, path: Path, video: VideoFormat, *, threads: int, report: Report) -> None:
        self.path = path
        self._video, self._threads, self._report = video, threads, report
        self._table: ClassTable | None = None
        self._files = 0
        self._part: PartFile | None = None

    def write(self, result: Result) -> None:
        """Encode one class map.

        Raises:
            RssegError: the file system refuses.
        """
        import av

        table = result.segmentation.table
        if self._table is None or table.names != self._table.names:
            self.close()
            self._begin(table)
        assert self._part is not None
        frame = result.frame
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(result.segmentation.class_map), format="gray")
        picture.pts, picture.time_base, picture.color_range = frame.pts, self._video.time_base, FULL_RANGE
        picture.duration = frame.duration or 0
        with named_errors(self._part.path):
            self._output.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Finish the video and publish it; without a single frame nothing is published."""
        if self._part is None:
            return
        part, self._part = self._part, None
        try:
            with named_errors(part.path):
                self._output.mux(self._stream.encode(None))
                self._output.close()
        except BaseException:
            part.discard()
            raise
        part.publish()

    def discard(self) -> None:
        """Drop the video."""
        if self._part is not None:
            self._part.discard()

    def _begin(self, table: ClassTable) -> None:
        import av

        self._files += 1
        path = self.path
        if self._files > 1:
            path = path.with_name(f"{path.stem}.{self._files}{path.suffix}")
            self._report(f"the classes changed: class maps from here on are in {path}")
        part = self._part = PartFile(path)
        self._table = table
        with named_errors(path):
            options = {"cluster_time_limit": str(CLUSTER_MS), "flush_packets": "1"}
            self._output: Any = av.open(part.file, "w", format="matroska", options=options)
            self._output.metadata["CLASSES"] = json.dumps(table.names, ensure_ascii=False)
            self._output.metadata["COLORS"] = json.dumps(table.colors)
            self._stream = self._output.add_stream("ffv1", rate=self._video.rate)
            codec = self._stream.codec_context
            codec.width, codec.height, codec.pix_fmt = self._video.width, self._video.height, "gray"
            codec.time_base, codec.color_range = self._video.time_base, FULL_RANGE
            codec.sample_aspect_ratio = self._video.pixel_aspect
            codec.options = {**FFV1, "threads": str(self._threads)}
            self._output.start_encoding()
