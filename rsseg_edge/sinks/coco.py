"""Class masks as a COCO file: an annotation with run lengths for each class of each frame."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rsseg_edge.sinks.file_sink import FileSink
from rsseg_edge.sinks.part_file import named_errors
from rsseg_edge.sinks.run_lengths import RunLengthMask, mask_of, runs_of
from rsseg_edge.types import Result, Segmentation


class CocoMasks(FileSink):
    """One JSON object in COCO's layout, written as it comes, in memory that does not grow.

    ``annotations`` have ``segmentation`` (``size`` and compressed ``counts``), ``area`` in pixels, ``bbox``,
    ``category_id``, ``image_id`` and ``iscrowd`` 0; ``images`` have ``width``, ``height``, ``file_name`` and beside
    them ``frame`` (index in the input) and ``time`` (seconds; null for still images). A class keeps its id for as long
    as the run lasts, also where classes change. Masks of sentences may overlap.

    Args:
        path: the file.
        only: names of the classes that are written; None takes all but the background.
    """

    def __init__(self, path: Path, only: Sequence[str] | None = None) -> None:
        super().__init__(path)
        self._only = only
        self._images: Any = None
        self._categories: dict[str, int] = {}
        self._annotations = self._frames = 0

    def open(self) -> None:
        """Begin the file."""
        super().open()
        with named_errors(self.path):
            # Beside the file: the system's folder for temporary files may be in memory.
            self._images = tempfile.TemporaryFile(dir=self.path.parent)  # noqa: SIM115
            self._file.write(b'{"info": {"description": "rsseg-edge"}, "annotations": [')

    def write(self, result: Result) -> None:
        """Add a frame.

        Raises:
            RssegError: the file system refuses.
        """
        frame, table = result.frame, result.segmentation.table
        height, width = result.segmentation.class_map.shape
        self._frames += 1
        entry = {
            "id": self._frames,
            "width": width,
            "height": height,
            "file_name": frame.name if frame.pts is None else f"{frame.name}_{frame.index:06d}",
            "frame": frame.index,
            "time": frame.time,
        }
        lines = []
        for index, mask in _masks(result.segmentation, table.selected(self._only)):
            self._annotations += 1
            annotation = {
                "id": self._annotations,
                "image_id": self._frames,
                "category_id": self._categories.setdefault(table.names[index], len(self._categories) + 1),
                "segmentation": {"size": list(mask.size), "counts": mask.compressed()},
                "area": mask.area,
                "bbox": list(mask.bbox),
                "iscrowd": 0,
            }
            lines.append((b",\n" if self._annotations > 1 else b"\n") + json.dumps(annotation).encode())
        with named_errors(self.path):
            self._file.write(b"".join(lines))
            self._images.write((b",\n" if self._frames > 1 else b"\n") + json.dumps(entry).encode())

    def close(self) -> None:
        """Publish the file.

        Raises:
            RssegError: the file system refuses.
        """
        if self._part is None:
            return
        categories = [{"id": at, "name": name, "supercategory": ""} for name, at in self._categories.items()]
        try:
            with named_errors(self.path):
                self._file.write(b'\n], "images": [')
                self._images.seek(0)
                shutil.copyfileobj(self._images, self._file)
                self._file.write(b'\n], "categories": ' + json.dumps(categories, ensure_ascii=False).encode() + b"}\n")
                self._images.close()
        except BaseException:
            self.discard()
            raise
        super().close()

    def discard(self) -> None:
        """Drop the file."""
        super().discard()
        if self._images is not None:
            self._images.close()


def _masks(segmentation: Segmentation, classes: Sequence[int]) -> Iterator[tuple[int, RunLengthMask]]:
    """The mask of each class that is there."""
    runs = runs_of(segmentation.class_map)
    for index in classes:
        if segmentation.masks is not None and index > 0:
            mask = mask_of(runs_of(segmentation.masks[index - 1]), 1)
        else:
            mask = mask_of(runs, index)
        if mask is not None:
            yield index, mask
