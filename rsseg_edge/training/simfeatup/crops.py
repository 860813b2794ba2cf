"""Crops of images without labels, each a pure function of the seed and its number, so that a run resumes exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rsseg_edge.errors import UsageError
from rsseg_edge.sources.images import SUFFIXES, read_image
from rsseg_edge.training.crops import read_ahead
from rsseg_edge.types import UInt8Array

HELD_OUT = 16
"""Images kept for validation at most; a tenth, where there are fewer than ten times as many."""


class ImageCrops:
    """Random crops of images at their own size, every image as likely as any other, small ones reflected.

    Args:
        paths: image files.
        size: side of a crop, in pixels.
        seed: the whole stream follows from it.
    """

    def __init__(self, paths: Sequence[Path], size: int, seed: int) -> None:
        self._paths, self._size, self._seed = list(paths), size, seed

    def crop(self, number: int) -> UInt8Array:
        """Crop ``number`` of the stream: uint8 [3, S, S].

        Raises:
            RssegError: its image cannot be read.
        """
        rng = np.random.default_rng((self._seed, number))
        image = read_image(self._paths[int(rng.integers(len(self._paths)))])
        missing = [max(0, self._size - side) for side in image.shape[:2]]
        if any(missing):
            image = np.pad(image, [(n // 2, n - n // 2) for n in missing] + [(0, 0)], mode="reflect")
        top, left = (int(rng.integers(side - self._size + 1)) for side in image.shape[:2])
        cut = image[top : top + self._size, left : left + self._size]
        return np.ascontiguousarray(cut.transpose(2, 0, 1))

    def batches(self, size: int, start: int, stop: int, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor]]:
        """Batches of the steps ``start`` to ``stop``: images float32 [B, 3, S, S] in 0..255.

        The global batch of a step is the same however many processes share it: rank r takes crops r, r + world, ...
        """

        def batch(step: int) -> tuple[Tensor]:
            crops = [self.crop(step * size + i) for i in range(rank, size, world)]
            return (torch.from_numpy(np.stack(crops)).float(),)

        yield from read_ahead(batch, start, stop)

    def first(self, count: int) -> Tensor:
        """The first crops of the stream: uint8 [N, 3, S, S]."""
        return torch.from_numpy(np.stack([self.crop(number) for number in range(count)]))


def find_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images to train on and images held out, of all below a folder; the same for the same names.

    Raises:
        UsageError: there is no such folder, or fewer than two images in it.
    """
    if not folder.is_dir():
        raise UsageError(f"--images {folder}: not a folder")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if len(found) < 2:
        raise UsageError(f"--images {folder}: {len(found)} images; at least one to train on and one to validate on")
    count = min(HELD_OUT, max(1, len(found) // 10))
    chosen = set(np.linspace(0, len(found) - 1, count + 1)[1:].round().astype(int).tolist())
    return [p for i, p in enumerate(found) if i not in chosen], [p for i, p in enumerate(found) if i in chosen]
