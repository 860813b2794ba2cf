"""One JSON line a frame: when it was, and how much of it each class covers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rsseg_edge.sinks.file_sink import FileSink
from rsseg_edge.sinks.part_file import named_errors
from rsseg_edge.types import Result


class FrameLog(FileSink):
    """JSON lines (UTF-8).

    Each line holds ``index``, ``time`` (seconds, null for still images), ``name``, and under ``classes`` for each class
    its ``pixels`` and ``share`` (of all pixels of the frame, 0..1). With key frames, ``keyframe`` tells them apart.

    Args:
        path: the file.
        only: names of the classes that are written; None takes all but the background.
    """

    def __init__(self, path: Path, only: Sequence[str] | None = None) -> None:
        super().__init__(path)
        self._only = only

    def write(self, result: Result) -> None:
        """Add a line."""
        table = result.segmentation.table
        total = result.segmentation.class_map.size
        line = {
            "index": result.frame.index,
            "time": result.frame.time,
            "name": result.frame.name,
            **({} if result.segmentation.keyframe is None else {"keyframe": result.segmentation.keyframe}),
            "classes": {
                table.names[k]: {"pixels": int(result.pixels[k]), "share": round(int(result.pixels[k]) / total, 6)}
                for k in table.selected(self._only)
            },
        }
        with named_errors(self.path):
            self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
