"""Augmented training crops, each a pure function of the seed and its number, so that a run resumes exactly."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsseg_edge.datasets.sample import IGNORE, Sample, SegmentationDataset
from rsseg_edge.training.recipe import CropConfig

Batch = TypeVar("Batch", bound=tuple[Tensor, ...])

MEMORY = 2 << 30
"""Bytes of decoded samples that a process keeps: decoding costs more than all the augmentation."""


class CropSource:
    """Crops of several data sets, mixed.

    Args:
        sets: data sets with the same classes, and the share of crops that each contributes.
        config: see :class:`CropConfig`.
        seed: the whole stream follows from it.
    """

    def __init__(self, sets: Sequence[tuple[SegmentationDataset, float]], config: CropConfig, seed: int) -> None:
        self._config, self._seed = config, seed
        self._samples = [_Kept(data, MEMORY // len(sets)) for data, _ in sets]
        shares = np.array([share for _, share in sets], dtype=float)
        self._shares = shares / shares.sum()
        self._image_odds = [_odds(data, even=config.even) for data, _ in sets]

    def crop(self, number: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Crop ``number`` of the stream: image uint8 [S, S, 3], labels uint8 [S, S]."""
        rng = np.random.default_rng((self._seed, number))
        image, labels = self._one(rng)
        if self._config.mix and rng.random() < self._config.mix:
            other, other_labels = self._one(rng)
            inside = _rectangle(self._config.size, rng)
            image[inside], labels[inside] = other[inside], other_labels[inside]
        return image, labels

    def _one(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        chosen = int(rng.choice(len(self._samples), p=self._shares))
        odds = self._image_odds[chosen]
        source = self._samples[chosen].get(int(rng.choice(len(odds), p=odds)))
        image, labels = _cut(source, self._config, rng)
        return _recolor(image, self._config, rng), labels

    def batches(
        self, size: int, start: int, stop: int, rank: int = 0, world: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of the steps ``start`` to ``stop``: images float32 [B, 3, S, S] in 0..255, labels int64 [B, S, S].

        The global batch of a step is the same however many processes share it: rank r takes crops r, r + world, ...
        """

        def batch(step: int) -> tuple[Tensor, Tensor]:
            crops = [self.crop(step * size + i) for i in range(rank, size, world)]
            images = torch.from_numpy(np.stack([c[0] for c in crops])).permute(0, 3, 1, 2).float()
            return images, torch.from_numpy(np.stack([c[1] for c in crops])).long()

        yield from read_ahead(batch, start, stop)


def read_ahead(batch: Callable[[int], Batch], start: int, stop: int) -> Iterator[Batch]:
    """``batch(step)`` of the steps ``start`` to ``stop``, each made while the one before it is in use."""
    with ThreadPoolExecutor(1) as pool:  # OpenCV releases the interpreter lock
        pending = pool.submit(batch, start) if start < stop else None
        for step in range(start, stop):
            assert pending is not None
            ready = pending.result()
            pending = pool.submit(batch, step + 1) if step + 1 < stop else None
            yield ready


class _Indexed:
    """A sample with some pixels of each of its classes, to centre crops on."""

    def __init__(self, sample: Sample, classes: int) -> None:
        self.image, self.labels = sample.image, sample.labels
        rng = np.random.default_rng(0)
        coarse = sample.labels[::4, ::4]
        self.pixels: list[npt.NDArray[np.int64]] = []
        for k in range(classes):
            found = np.argwhere(coarse == k) * 4
            if len(found):
                self.pixels.append(found[rng.permutation(len(found))[:2000]])

    @property
    def bytes(self) -> int:
        return self.image.nbytes + self.labels.nbytes + sum(p.nbytes for p in self.pixels)


class _Kept:
    """Samples of a data set, read when first asked for; those used last stay, as far as the memory goes."""

    def __init__(self, data: SegmentationDataset, memory: int) -> None:
        self._data, self._memory, self._classes = data, memory, len(data.classes)
        self._kept: OrderedDict[int, _Indexed] = OrderedDict()
        self._bytes = 0

    def get(self, index: int) -> _Indexed:
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        sample = self._kept[index] = _Indexed(self._data[index], self._classes)
        self._bytes += sample.bytes
        while self._bytes > self._memory and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].bytes
        return sample


def _odds(data: SegmentationDataset, *, even: bool) -> npt.NDArray[np.float64]:
    # By area: every pixel is as likely as any other, which is how scores of classes count them.
    areas = np.array([1.0 if even else float(data.area(i)) for i in range(len(data))])
    return areas / areas.sum()


def _cut(
    source: _Indexed, config: CropConfig, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    height, width = source.labels.shape
    size = config.size
    native = rng.random() < config.native
    scale = 1.0 if native else float(np.exp(rng.uniform(*np.log(config.scale))))
    tilt = 0.0 if native or config.inside else rng.uniform(-config.tilt, config.tilt)
    if config.inside and scale < (least := size / min(height, width)):
        native, scale = False, least
    if source.pixels and rng.random() < config.balance:
        pixels = source.pixels[int(rng.integers(len(source.pixels)))]
        y, x = pixels[int(rng.integers(len(pixels)))] + rng.uniform(-0.25, 0.25, 2) * size / scale
    else:
        y, x = rng.uniform(0, height), rng.uniform(0, width)
    # Crops stay inside the image where it is large enough.
    half = size / scale / 2
    y = float(np.clip(y, half, height - half)) if height > 2 * half else height / 2
    x = float(np.clip(x, half, width - half)) if width > 2 * half else width / 2
    if scale < 0.7:  # warping does not average: shrink first, so that the crop has no aliases
        image = cv2.resize(source.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        # not INTER_NEAREST, which floors: labels would lie half a pixel off the image
        labels = cv2.resize(source.labels, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST_EXACT)
        y, x, scale = y * scale, x * scale, 1.0
    else:
        image, labels = source.image, source.labels
    angle = np.deg2rad(90.0 * rng.integers(4) + tilt)
    flip = 1.0 if rng.random() < 0.5 else -1.0
    # Crop to source: rotate, mirror and scale about the two centres.
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    linear = np.array([[cos * flip, -sin], [sin * flip, cos]])
    middle = (size - 1) / 2  # indices are of pixel centres; x and y count from the edge
    offset = np.array([x, y]) - 0.5 - linear @ np.array([middle, middle])
    if native:  # the image's own pixels, as sharp as inference sees them
        linear, offset = linear.round(), offset.round()
    matrix = np.column_stack((linear, offset))
    flags = cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(image, matrix, (size, size), flags=flags | cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    marks = cv2.warpAffine(
        labels,
        matrix,
        (size, size),
        flags=flags | cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=IGNORE,
    )
    return cut.astype(np.uint8), marks.astype(np.uint8)


def _rectangle(size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """A rectangle of a fifth to a half of a square, anywhere inside."""
    stretch = np.exp(rng.uniform(-0.4, 0.4))
    sides = np.sqrt(rng.uniform(0.2, 0.5)) * size * np.array([stretch, 1 / stretch])
    height, width = np.minimum(sides, size).astype(int)
    top, left = int(rng.integers(size - height + 1)), int(rng.integers(size - width + 1))
    return slice(top, top + height), slice(left, left + width)


def _recolor(image: npt.NDArray[np.uint8], config: CropConfig, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    strength = config.color
    brightness, contrast, saturation = 1 + rng.uniform(-strength, strength, 3)
    tint = 1 + rng.uniform(-strength, strength, 3) * 0.3
    # One linear map of the colours: grey axis by contrast, the rest by saturation, each channel by its tint.
    grey = np.full((3, 3), 1 / 3)
    mix = np.diag(tint) @ (saturation * (np.eye(3) - grey) + grey) * contrast * brightness
    middle = image.mean() * (1 - contrast) * brightness
    out = cv2.transform(image, np.column_stack((mix, np.full(3, middle))))
    if rng.random() < config.shadow:
        out = _shade(out, rng)
    if rng.random() < config.blur:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.2)))
    return out.astype(np.uint8)


def _shade(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Cast a shadow over a ragged third of an image: sky light is left, a quarter to a half, and bluer."""
    size = image.shape[0]
    coarse = rng.standard_normal((2, int(rng.integers(4, 24)), int(rng.integers(4, 24)))).astype(np.float32)
    relief = sum(cv2.resize(c, (size, size), interpolation=cv2.INTER_CUBIC) for c in coarse)
    edge = float(np.quantile(relief, rng.uniform(0.5, 0.85)))
    share = np.clip((relief - edge) * 4 + 0.5, 0, 1)[..., None]
    sky = rng.uniform(0.2, 0.5) * np.array([0.85, 1.0, rng.uniform(1.0, 1.4)], np.float32)
    return np.asarray(image * (1 - share * (1 - sky)), np.uint8)
