"""Classes drawn over a picture: blended plane by plane, so that RGB images and YCbCr videos take one path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsseg_edge.postprocess.color import rgb_to_ycbcr
from rsseg_edge.postprocess.legend import render_legend
from rsseg_edge.types import ClassTable, Planes, UInt8Array, VideoFormat


@dataclass(frozen=True)
class Overlay:
    """What is drawn over a picture.

    Attributes:
        table: names and colours of all classes.
        drawn: indices of the classes that are drawn; the others show the picture unchanged.
        alpha: weight of a class's colour, 0..1.
    """

    table: ClassTable
    drawn: tuple[int, ...]
    alpha: float

    def draw(self, image: UInt8Array, class_map: UInt8Array, *, legend: bool = True) -> UInt8Array:
        """A copy of an image with its classes and the legend.

        Args:
            image: uint8 [H, W, 3] RGB.
            class_map: uint8 [H, W].
            legend: whether it covers the top left corner.
        """
        result = np.empty_like(image)
        blender = self.blender(self.table.palette())
        for channel in range(3):
            plane = np.ascontiguousarray(image[..., channel])
            result[..., channel] = blender.blend(plane, class_map, channel, np.empty_like(plane))
        if legend:
            names = self.legend(*class_map.shape)
            result[: names.shape[0], : names.shape[1]] = names
        return result

    def legend(self, height: int, width: int) -> UInt8Array:
        """uint8 [h, w, 3] RGB: the legend of a picture of a given size."""
        return render_legend(self.table, self.drawn, height, width)

    def on_video(self, video: VideoFormat) -> PlanesOverlay:
        """The same overlay for the planes of a video."""
        colors = rgb_to_ycbcr(self.table.palette(), video.color)
        legend = rgb_to_ycbcr(self.legend(video.height, video.width), video.color)
        return PlanesOverlay(self.blender(colors), (legend[..., 0], legend[::2, ::2, 1], legend[::2, ::2, 2]))

    def blender(self, colors: UInt8Array) -> Blender:
        """What draws in a given colour space.

        Args:
            colors: uint8 [classes, 3]: the classes' colours there.
        """
        values = np.zeros((256, 3), dtype=np.uint8)
        values[: len(colors)] = colors
        drawn = np.zeros(256, dtype=np.uint8)
        drawn[list(self.drawn)] = 255
        everything: Sequence[int] = range(len(self.table))
        return Blender(values, None if set(self.drawn) == set(everything) else drawn, self.alpha)


@dataclass(frozen=True, eq=False)
class Blender:
    """Blends one plane of a picture at a time.

    Attributes:
        values: uint8 [256, 3]: the planes' values of each class.
        drawn: uint8 [256]: 255 for a class that is drawn, else 0; None draws all.
        alpha: weight of a class's colour, 0..1.
    """

    values: UInt8Array
    drawn: UInt8Array | None
    alpha: float

    def blend(self, plane: UInt8Array, class_map: UInt8Array, channel: int, out: UInt8Array) -> UInt8Array:
        """Draw on one plane.

        Args:
            plane: uint8 [h, w].
            class_map: uint8 [h, w], for a subsampled plane subsampled alike.
            channel: which of the three it is.
            out: uint8 [h, w] that takes the result; rows may be apart, pixels may not.

        Returns:
            ``out``.
        """
        import cv2

        colors = cv2.LUT(class_map, np.ascontiguousarray(self.values[:, channel]))
        if self.drawn is None:
            return _written(cv2.addWeighted(plane, 1 - self.alpha, colors, self.alpha, 0, dst=out), out)
        blended = cv2.addWeighted(plane, 1 - self.alpha, colors, self.alpha, 0, dst=colors)
        np.copyto(out, plane)
        return _written(cv2.copyTo(blended, cv2.LUT(class_map, self.drawn), out), out)


@dataclass(frozen=True, eq=False)
class PlanesOverlay:
    """Draws on the Y, Cb and Cr planes of a video's frames.

    Attributes:
        blender: with the classes' colours in the video's colour space.
        legend: its planes, likewise.
    """

    blender: Blender
    legend: Planes

    def draw(self, planes: Planes, class_map: UInt8Array, out: Planes) -> None:
        """Draw one frame.

        Args:
            planes: of the frame, see :class:`rsseg_edge.types.Frame`.
            class_map: uint8 [H, W].
            out: take the result; of the same sizes.
        """
        half = np.ascontiguousarray(class_map[::2, ::2])
        for channel, (plane, classes) in enumerate(zip(planes, (class_map, half, half), strict=True)):
            self.blender.blend(plane, classes, channel, out[channel])
            legend = self.legend[channel]
            out[channel][: legend.shape[0], : legend.shape[1]] = legend


def _written(result: UInt8Array, out: UInt8Array) -> UInt8Array:
    if result is not out:  # OpenCV made its own array where it did not like the layout of ours
        np.copyto(out, result)
    return out
