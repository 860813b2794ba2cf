"""Overlays of a run whose classes may change from one frame to the next: each frame is drawn by its own table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rsseg_edge.postprocess.overlay import Overlay, PlanesOverlay
from rsseg_edge.types import ClassTable, Planes, Segmentation, UInt8Array, VideoFormat


class Drawing:
    """Draws what is asked for.

    Args:
        only: names of the classes that are drawn; None draws all but the background.
        alpha: weight of a class's colour, 0..1.
    """

    def __init__(self, only: Sequence[str] | None, alpha: float) -> None:
        self._only, self._alpha = only, alpha

    def draw(self, image: UInt8Array, segmentation: Segmentation) -> UInt8Array:
        """A copy of an image, uint8 [H, W, 3] RGB, with its classes and the legend."""
        return self._overlay(segmentation.table).draw(image, segmentation.class_map)

    def on_video(self, video: VideoFormat) -> Callable[[Planes, Segmentation, Planes], None]:
        """What draws a segmentation over the planes of a video's frame, given first, into those given last."""
        current: tuple[ClassTable | None, PlanesOverlay | None] = (None, None)

        def draw(planes: Planes, segmentation: Segmentation, out: Planes) -> None:
            nonlocal current
            table, overlay = current
            if overlay is None or table is not segmentation.table:
                overlay = self._overlay(segmentation.table).on_video(video)
                current = (segmentation.table, overlay)
            overlay.draw(planes, segmentation.class_map, out)

        return draw

    def _overlay(self, table: ClassTable) -> Overlay:
        return Overlay(table, table.selected(self._only), self._alpha)
