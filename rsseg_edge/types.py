"""What crosses a stage: frozen dataclasses, the only currency between sources, segmenter, pipeline and sinks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import UsageError

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ClassTable:
    """The classes of a model in the order of its class map, with the colour that each is drawn in (RGB, 0..255)."""

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.colors):
            raise ValueError(f"{len(self.names)} class names but {len(self.colors)} colours")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"class names repeat: {', '.join(self.names)}")
        if not 1 <= len(self.names) <= 255:
            raise ValueError(f"a class map holds 1 to 255 classes, not {len(self.names)}")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of a class.

        Raises:
            UsageError: no class of that name; the message lists those that there are.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise UsageError(f"unknown class '{name}': this model has {', '.join(self.names)}") from None

    def palette(self) -> UInt8Array:
        """uint8 [len(self), 3] RGB."""
        return np.asarray(self.colors, dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a source.

    Attributes:
        image: uint8 [H, W, 3] RGB.
        index: position in the source, from 0, counting frames that were skipped.
        pts: presentation time stamp in units of ``time_base``; None for still images.
        time_base: seconds per unit of ``pts``; None for still images.
        name: what an output of this frame is called: the stem of an image file, or the video's stem.
    """

    image: UInt8Array
    index: int
    name: str
    pts: int | None = None
    time_base: Fraction | None = None

    @property
    def time(self) -> float | None:
        """Presentation time in seconds, None for still images."""
        if self.pts is None or self.time_base is None:
            return None
        return float(self.pts * self.time_base)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Classes of one image.

    Attributes:
        class_map: uint8 [H, W] at the size of the image, indices into ``classes``.
        confidence: uint8 [H, W], 0..255: the best class's share of the summed class scores, in 1/255.
        table: names and colours.
    """

    class_map: UInt8Array
    confidence: UInt8Array
    table: ClassTable

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the indices of ``class_map``."""
        return self.table.names

    @property
    def colors(self) -> tuple[tuple[int, int, int], ...]:
        """RGB colour of each class, 0..255."""
        return self.table.colors

    def pixel_counts(self) -> npt.NDArray[np.int64]:
        """int64 [len(classes)]: pixels of each class."""
        return np.bincount(self.class_map.ravel(), minlength=len(self.table))[: len(self.table)].astype(np.int64)
