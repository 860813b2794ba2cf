"""Classes that are words, and what the cosines of a picture with these words say (METHODS 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import UsageError
from rsseg_edge.prompts.colors import distinct_colors
from rsseg_edge.types import ClassTable, UInt8Array

BACKGROUND = "background"


@dataclass(frozen=True, eq=False)
class WordClasses:
    """The classes that an image is segmented into; immutable, so that no image sees two sets of them.

    Attributes:
        table: names (each class's first word) and colours.
        text: float32 [Q, D]: a row of length 1 for each word.
        class_index: int64 [Q]: class of each word.
        background: class of pixels whose best class has less than ``threshold``.
        threshold: 0..1.
        scale: what cosines are multiplied by before the softmax.
    """

    table: ClassTable
    text: npt.NDArray[np.float32]
    class_index: npt.NDArray[np.int64]
    background: int
    threshold: float
    scale: float

    def decide(self, cosines: npt.NDArray[np.float32]) -> tuple[UInt8Array, UInt8Array]:
        """Softmax over the words, the best word's class, its probability in 1/255.

        The best of a class's synonyms decides for it, so that the best class is the class of the best word.

        Args:
            cosines: float32 [Q, h, w].

        Returns:
            Class map and confidence, uint8 [h, w] each.
        """
        best = cosines.argmax(0)
        top = np.take_along_axis(cosines, best[None], 0)
        probability = 1 / np.exp(self.scale * (cosines - top)).sum(0)
        class_map = self.class_index[best].astype(np.uint8)
        if self.threshold:
            class_map[probability < self.threshold] = self.background
        return class_map, (255 * probability).round().astype(np.uint8)

    def probabilities(self, cosines: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """That of the best of each class's words: float32 [Q, h, w] to [classes, h, w]."""
        words = np.exp(self.scale * (cosines - cosines.max(0)))
        words /= words.sum(0)
        result = np.zeros((len(self.table), *cosines.shape[1:]), np.float32)
        for index, word in zip(self.class_index.tolist(), words, strict=True):
            np.maximum(result[index], word, out=result[index])
        return result


def class_table(
    classes: Sequence[str], background: str | None, threshold: float, colors: Mapping[str, tuple[int, int, int]]
) -> ClassTable:
    """Names and colours; the last class is the background where there is one and no class is called so.

    Args:
        classes: each a string of comma-separated synonyms; the first is its name.
        background: synonyms of what is none of them.
        threshold: 0..1; above 0, pixels of no class come about, whose class is the background.
        colors: of names that have one.

    Raises:
        UsageError: too many for a class map, or two of them are the background.
    """
    names = [words.split(",")[0].strip() for words in classes]
    last: int | None = None
    if background or threshold:
        last = len(names)
        names.append(BACKGROUND)
    if len(names) > 255:
        raise UsageError(f"{len(names)} classes: a class map holds 255")
    if last is not None and BACKGROUND in names[:-1]:
        # the class of that name takes the pixels below the threshold
        last = names.index(BACKGROUND)
        if background:
            raise UsageError(f"'{BACKGROUND}' is one of the classes: give it there or as the background, not both")
        names.pop()
    return ClassTable(tuple(names), distinct_colors(names, colors), last)
