"""Data sets that came with sentences, read from their own files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsseg_edge.datasets.masks import read_image
from rsseg_edge.datasets.referring.coco_masks import decode_segmentation
from rsseg_edge.datasets.referring.expression import Expression
from rsseg_edge.datasets.referring.referring_dataset import ReferringSample
from rsseg_edge.datasets.referring.regions import BoolArray
from rsseg_edge.datasets.referring.table import GivenSpec, describe_given
from rsseg_edge.errors import RssegError, UsageError

ReadMask = Callable[[int, int], BoolArray]
"""From height and width of the image to bool [H, W]."""


@dataclass(frozen=True)
class GivenImage:
    """An image's file, and each sentence about it with what reads its mask."""

    path: Path
    name: str
    sentences: tuple[tuple[str, ReadMask], ...]


class GivenDataset:
    """Images with the sentences that came with them. Made by :func:`open_given`; images are read when asked for."""

    def __init__(self, spec: GivenSpec, images: list[GivenImage]) -> None:
        self.spec, self.images = spec, images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> ReferringSample:
        """Read one image and its masks.

        Raises:
            RssegError: a file cannot be read, or a mask is not one of the image.
        """
        given = self.images[index]
        image = read_image(given.path)
        expressions = []
        for sentence, read in given.sentences:
            try:
                mask = read(*image.shape[:2])
            except ValueError as error:
                raise RssegError(f"{given.path}: the mask of '{sentence}': {error}") from None
            if mask.any():  # what is smaller than a pixel cannot be asked for
                expressions.append(Expression(sentence, mask, "given"))
        return ReferringSample(image, expressions, given.name)

    def __iter__(self) -> Iterator[ReferringSample]:
        return (self[i] for i in range(len(self)))


def open_given(name_or_toml: str | os.PathLike[str], root: str | os.PathLike[str] | None, split: str) -> GivenDataset:
    """Open one split of a data set with sentences.

    Args:
        name_or_toml: a name of the table, or the path of a TOML file in the same terms.
        root: the folder that the archives were unpacked in; a TOML file's own folder where none is given.
        split: one of those in the table.

    Raises:
        UsageError: no such split or file, or nothing in it.
        RssegError: a file is not what it should be.
    """
    spec = describe_given(name_or_toml)
    spec.check_split(split)
    if root is None:
        if not os.fspath(name_or_toml).endswith(".toml"):
            raise UsageError(f"data {spec.name} needs its folder: --root DIR, where its archives were unpacked")
        root = Path(name_or_toml).parent
    read = _from_refs if spec.refs else _from_phrases
    try:
        images = read(spec, Path(root), split)
    except (KeyError, TypeError, AttributeError) as error:
        raise RssegError(f"data {spec.name}: {spec.refs or spec.phrases} is not as expected ({error!r})") from None
    if not images:
        raise UsageError(f"data {spec.name}: nothing in {root} is of the split '{split}'")
    return GivenDataset(spec, images)


def _from_refs(spec: GivenSpec, root: Path, split: str) -> list[GivenImage]:
    """refer's files: references to annotated objects, several sentences each."""
    refs = [ref for ref in _read_json(_converted(root / spec.refs, spec), spec) if ref["split"] == split]
    instances = _read_json(root / spec.instances, spec)
    files = {image["id"]: image["file_name"] for image in instances["images"]}
    outlines = {annotation["id"]: annotation["segmentation"] for annotation in instances["annotations"]}
    said: dict[int, list[tuple[str, ReadMask]]] = {}
    for ref in refs:
        read = _Segmentation(outlines[ref["ann_id"]])
        said.setdefault(ref["image_id"], []).extend((sentence["sent"], read) for sentence in ref["sentences"])
    return [
        GivenImage(root / spec.images.format(file=files[image]), Path(files[image]).stem, tuple(sentences))
        for image, sentences in sorted(said.items())
    ]


def _from_phrases(spec: GivenSpec, root: Path, split: str) -> list[GivenImage]:
    """Lines of an image's name and a sentence; the image's mask file is what the sentence means."""
    path = root / spec.phrases.format(split=split)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"data {spec.name}: cannot read {path}: {error}") from None
    images = []
    for number, line in enumerate(lines, 1):
        image, _, sentence = line.strip().partition(" ")
        if not line.strip():
            continue
        if not sentence:
            raise RssegError(f"{path}, line {number}: '{line}' is no image with a sentence")
        read = _MaskFile(root / spec.masks.format(image=image))
        images.append(GivenImage(root / spec.images.format(image=image), image, ((sentence.strip(), read),)))
    return images


@dataclass(frozen=True)
class _Segmentation:
    segmentation: Any

    def __call__(self, height: int, width: int) -> BoolArray:
        return decode_segmentation(self.segmentation, height, width)


@dataclass(frozen=True)
class _MaskFile:
    path: Path

    def __call__(self, height: int, width: int) -> BoolArray:
        try:
            mask = cv2.imdecode(np.frombuffer(self.path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
        except (OSError, cv2.error) as error:
            raise RssegError(f"cannot read {self.path}: {error}") from None
        if mask is None:
            raise RssegError(f"cannot decode {self.path}: damaged, or not an image")
        if mask.shape != (height, width):
            raise ValueError(f"{self.path.name} is {mask.shape[1]}x{mask.shape[0]}, the image {width}x{height}")
        return np.asarray(mask > 0, np.bool_)


def _converted(path: Path, spec: GivenSpec) -> Path:
    """The JSON, or a refusal of the pickle that lies in its place: reading one runs whatever code it holds."""
    pickle = path.with_suffix(".p")
    if not path.is_file() and pickle.is_file():
        raise UsageError(
            f"data {spec.name}: {pickle.name} is a pickle, which can run any code when it is read. If you trust where "
            f"it came from: python -c \"import json, pickle; json.dump(pickle.load(open('{pickle}', 'rb')), "
            f"open('{path}', 'w'))\""
        )
    return path


def _read_json(path: Path, spec: GivenSpec) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"data {spec.name}: cannot read {path}: {error.strerror}") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError
        raise RssegError(f"data {spec.name}: {path} is not valid JSON: {error}") from None
