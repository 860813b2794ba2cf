"""Open any data set of the table, or a user's own folder, as samples."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rsseg_edge.datasets.description import is_description
from rsseg_edge.datasets.masks import MaskDecoder, image_area, read_image
from rsseg_edge.datasets.pattern import PathPattern, matches_any
from rsseg_edge.datasets.sample import Sample, SegmentationDataset
from rsseg_edge.datasets.table import DatasetSpec, FilePair, Split, describe
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.types import ClassTable


def open_dataset(
    name_or_toml: str | os.PathLike[str], root: str | os.PathLike[str] | None = None, split: str = "train"
) -> SegmentationDataset:
    """Open one split of a data set. Files are listed and paired now, and read when a sample is asked for.

    Args:
        name_or_toml: a name of the table, or the path of a TOML file that describes a folder in the same terms.
        root: the folder that the archives were unpacked in. A TOML file's own folder where none is given; generated
            data needs none.
        split: one of those in the table, for instance ``"train"`` or ``"val"``.

    Raises:
        UsageError: no such data set, split or folder; no pairs in it; an image without a mask.
    """
    spec = describe(name_or_toml)
    chosen = spec.split(split)
    if spec.generator == "scenes":
        from rsseg_edge.datasets.scene_dataset import SceneDataset

        return SceneDataset(spec, chosen)
    if root is None:
        if not is_description(os.fspath(name_or_toml)):
            raise UsageError(f"data {spec.name} needs its folder: --root DIR, where its archives were unpacked")
        root = Path(name_or_toml).parent
    return FolderDataset(spec, _find_pairs(spec, Path(root), split, chosen))


@dataclass(frozen=True)
class ImageAndMask:
    """Two files that belong together."""

    image: Path
    mask: Path
    name: str
    labels: bool = False


class FolderDataset:
    """Samples read from files. Made by :func:`open_dataset`."""

    def __init__(self, spec: DatasetSpec, pairs: list[ImageAndMask]) -> None:
        self.spec = spec
        self.pairs = pairs
        self._decoder = MaskDecoder(spec)

    @property
    def classes(self) -> ClassTable:
        """Names and colours, in the order of the labels."""
        return self.spec.class_table()

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Read one pair.

        Raises:
            RssegError: a file cannot be read, the sizes differ, or the mask holds what the table does not know.
        """
        pair = self.pairs[index]
        image, labels = read_image(pair.image), self._decoder.read(pair.mask, labels=pair.labels)
        if image.shape[:2] != labels.shape:
            raise RssegError(
                f"{pair.mask} is {labels.shape[1]}x{labels.shape[0]} pixels, "
                f"but its image {pair.image.name} is {image.shape[1]}x{image.shape[0]}"
            )
        return Sample(image, labels, pair.name)

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def area(self, index: int) -> int:
        """Pixels of an image, from the header of its file.

        Raises:
            RssegError: the file cannot be read.
            UsageError: Pillow is not installed.
        """
        return image_area(self.pairs[index].image)


def _find_pairs(spec: DatasetSpec, root: Path, name: str, split: Split) -> list[ImageAndMask]:
    if not root.is_dir():
        raise UsageError(f"data {spec.name}: {root} is not a folder")
    layouts = split.files or spec.files
    found = [pair for layout in layouts for pair in _find_layout(spec, root, layout, split)]
    if not found:
        expected = " or ".join(layout.image for layout in layouts)
        raise UsageError(f"data {spec.name}: split '{name}' finds no images in {root}; it expects {expected}")
    return sorted({pair.image: pair for pair in found}.values(), key=lambda pair: pair.image)


def _find_layout(spec: DatasetSpec, root: Path, layout: FilePair, split: Split) -> Iterator[ImageAndMask]:
    image_pattern, mask_pattern = PathPattern(layout.image), PathPattern(layout.mask)
    listed = {key: _read_list(spec, root / file) for key, file in split.listed.items()}
    for image, fields in image_pattern.find(root):
        if not all(matches_any(fields[key], allowed) for key, allowed in split.only.items()):
            continue
        if any(matches_any(fields[key], barred) for key, barred in split.without.items()):
            continue
        if any(fields[key] not in values for key, values in listed.items()):
            continue
        mask = root / mask_pattern.fill(fields)
        if not mask.is_file():
            raise UsageError(f"data {spec.name}: image {image} has no mask: {mask} does not exist")
        yield ImageAndMask(image, mask, image_pattern.sample_name(fields), layout.labels)


def _read_list(spec: DatasetSpec, path: Path) -> set[str]:
    try:
        return set(path.read_text(encoding="utf-8").split())
    except OSError as error:
        raise UsageError(f"data {spec.name}: cannot read {path}, the list of its images: {error.strerror}") from None
