"""What crosses a stage: frozen dataclasses, the only currency between sources, segmenter, pipeline and sinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import UsageError

UInt8Array = npt.NDArray[np.uint8]
NO_DATA = 255
"""In a class map of a scene: no class table has so many classes."""
Planes = tuple[UInt8Array, UInt8Array, UInt8Array]
Report = Callable[[str], None]
"""Told in one line about something that is left out or changed while the rest goes on."""


@dataclass(frozen=True)
class ClassTable:
    """The classes of a model in the order of its class map, with the colour that each is drawn in (RGB, 0..255).

    Attributes:
        names: of the classes.
        colors: one a class.
        background: the class that stands for "none of these": neither drawn nor counted unless it is asked for.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    background: int | None = None

    def __post_init__(self) -> None:
        if len(self.names) != len(self.colors):
            raise ValueError(f"{len(self.names)} class names but {len(self.colors)} colours")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"class names repeat: {', '.join(self.names)}")
        if not 1 <= len(self.names) <= NO_DATA:
            raise ValueError(f"a class map holds 1 to {NO_DATA} classes, not {len(self.names)}")

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

    def selected(self, only: Sequence[str] | None) -> tuple[int, ...]:
        """Indices of the classes named, as far as they are there; None stands for all but the background."""
        if only is None:
            return tuple(k for k in range(len(self)) if k != self.background)
        return tuple(k for k, name in enumerate(self.names) if name in only)

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
        duration: how long the frame is shown, in units of ``time_base``; None where the source does not say.
        planes: the same picture as the decoder gave it, for a sink that encodes it again without a detour through
            RGB: Y uint8 [H, W], then Cb and Cr uint8 [ceil(H/2), ceil(W/2)]. Read-only; None for still images.
        arrived: when its last packet came, by ``time.monotonic``; None for what lies in a file.
        stream: which of several inputs it is of, from 0.
    """

    image: UInt8Array
    index: int
    name: str
    pts: int | None = None
    time_base: Fraction | None = None
    duration: int | None = None
    planes: Planes | None = None
    arrived: float | None = None
    stream: int = 0

    @property
    def time(self) -> float | None:
        """Presentation time in seconds, None for still images."""
        if self.pts is None or self.time_base is None:
            return None
        return float(self.pts * self.time_base)


@dataclass(frozen=True)
class ColorTags:
    """How 8-bit Y, Cb and Cr become light: code points of ITU-T H.273, 2 where the source does not say.

    Attributes:
        matrix: MatrixCoefficients: 1 is BT.709, 5 and 6 are BT.601, 9 is BT.2020.
        full_range: Y covers 0..255 instead of 16..235.
        primaries: ColourPrimaries.
        transfer: TransferCharacteristics.
    """

    matrix: int = 2
    full_range: bool = False
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True)
class VideoFormat:
    """What a video is like, for a sink that writes one of the same kind.

    Attributes:
        path: the file; its audio is copied from there. None for a live stream.
        width: of a frame as it is shown (rotation applied), in pixels.
        height: of a frame as it is shown, in pixels.
        rate: frames a second, on average.
        time_base: seconds per unit of a frame's ``pts``.
        pixel_aspect: width of a pixel by its height.
        color: meaning of the planes.
    """

    path: Path | None
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    pixel_aspect: Fraction = Fraction(1)
    color: ColorTags = ColorTags()


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Classes of one image.

    Attributes:
        class_map: uint8 [H, W] at the size of the image, indices into ``classes``.
        confidence: uint8 [H, W], 0..255: the best class's share of the summed class scores, in 1/255.
        table: names and colours.
        masks: bool [len(classes) - 1, H, W] where the classes but the first, which is the background, may overlap: the
            class map holds the best of them. None where every pixel is of one class.
        keyframe: whether the network saw the image, or it is shown by one before; None where it sees every image.
    """

    class_map: UInt8Array
    confidence: UInt8Array
    table: ClassTable
    masks: npt.NDArray[np.bool_] | None = None
    keyframe: bool | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the indices of ``class_map``."""
        return self.table.names

    @property
    def colors(self) -> tuple[tuple[int, int, int], ...]:
        """RGB colour of each class, 0..255."""
        return self.table.colors

    def pixel_counts(self) -> npt.NDArray[np.int64]:
        """int64 [len(classes)]: pixels of each class; those where masks overlap count for each."""
        if self.masks is not None:
            counts = [np.count_nonzero(self.class_map == 0), *(np.count_nonzero(mask) for mask in self.masks)]
            return np.array(counts, dtype=np.int64)
        count = len(self.table)
        if count > 16:
            return np.bincount(self.class_map.ravel(), minlength=count)[:count].astype(np.int64)
        # Four times as fast as bincount, which widens the map to 64 bits first.
        return np.array([np.count_nonzero(self.class_map == index) for index in range(count)], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Result:
    """One frame on its way to the sinks.

    Attributes:
        frame: as it came from the source.
        segmentation: of ``frame.image``.
        pixels: int64 [classes]: what :meth:`Segmentation.pixel_counts` gave.
    """

    frame: Frame
    segmentation: Segmentation
    pixels: npt.NDArray[np.int64]
