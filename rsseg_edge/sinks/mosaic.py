"""The classes of all frames as one picture of the ground: a cloud-optimised GeoTIFF in WGS 84, by weighted vote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.sinks.geo_package import require_geo
from rsseg_edge.sinks.map_polygons import ground_sampling_distance, to_map, visible_area
from rsseg_edge.sinks.map_sink import Locate, MapSink
from rsseg_edge.sinks.part_path import PartPath
from rsseg_edge.sinks.votes import TILE, TileVotes
from rsseg_edge.telemetry.geodesy import metres_per_degree
from rsseg_edge.telemetry.georeference import Georeference
from rsseg_edge.types import Result, Segmentation

UNSEEN = 255
LATTICE = 8  # cells between two places whose pixels are computed; between them they are interpolated
MOST_TILES = 4096  # under one frame: 16,384 x 16,384 cells
MOST_CELLS = 200_000  # of the mosaic in each direction


class Mosaic(MapSink):
    """Accumulates class maps on a grid of square cells, tile by tile.

    Every frame votes in the cells it sees, with its confidence times the share of a cell that one of its pixels
    resolves (1 where pixels are smaller than cells): near and steep views outweigh far and flat ones. What stands
    between the camera and the ground is not considered. Values of the file are class indices, 255 where nothing was
    seen; names are in the tag ``CLASSES`` as JSON, colours in the colour table.

    Args:
        path: the file.
        locate: where a frame lies.
        gsd: metres of a cell's side; None takes that of the first frame's middle pixel.
        budget: bytes of votes in memory; the rest lies in a folder beside the file until it is done.
    """

    def __init__(
        self,
        path: Path,
        locate: Locate,
        gsd: float | None = None,
        *,
        budget: int = 256 << 20,
    ) -> None:
        require_geo("--mosaic")
        super().__init__(path, locate)
        self._gsd, self._budget = gsd, budget
        self._votes: TileVotes | None = None
        self._names: dict[str, tuple[int, int, int]] = {}
        self._origin: tuple[float, float] | None = None  # longitude and latitude of a corner of tile (0, 0)
        self._cell = (0.0, 0.0)  # degrees to the east and to the south

    def open(self) -> None:
        """Make ready to take votes."""
        super().open()
        self._votes = TileVotes(self.path, self._budget)

    def write(self, result: Result) -> None:
        """Let a frame vote.

        Raises:
            UsageError: a cell is so small that a frame has too many of them.
            RssegError: the file system refuses.
        """
        located = self._locate(result.frame)
        if located is None:
            return
        place = located[1]
        visible = visible_area(place)
        outlines = [polygon for _, polygon in to_map([visible], place, visible)]
        if not outlines or (self._origin is None and not self._begin(place, outlines[0])):
            return
        indices = self._indices(result.segmentation)
        mask = _mask(visible, place.size)
        for west, south, east, north in (outline.bounds for outline in outlines):
            first, last = self._tile_of(west, north), self._tile_of(east, south)
            count = (last[0] - first[0] + 1) * (last[1] - first[1] + 1)
            if count > MOST_TILES:
                cells = count * TILE * TILE
                raise UsageError(
                    f"{self.path}: {cells:.1e} cells under frame {result.frame.index}; take larger ones with --gsd"
                )
            for row in range(first[0], last[0] + 1):
                for column in range(first[1], last[1] + 1):
                    self._vote((row, column), place, result.segmentation, indices, mask)

    def close(self) -> None:
        """Publish the mosaic.

        Raises:
            RssegError: no frame could be located, or the file system refuses.
        """
        if self._part is None or self._votes is None:
            return
        try:
            if self._votes.keys():
                self._write_file(self._part.part)
        except BaseException:
            self.discard()
            raise
        self._votes.close()
        self._publish()

    def discard(self) -> None:
        """Drop the mosaic."""
        super().discard()
        if self._votes is not None:
            self._votes.close()

    def _begin(self, place: Georeference, outline: Any) -> bool:
        """Lay the grid out by the first frame that sees the ground."""
        gsd = self._gsd or ground_sampling_distance(place)
        if not gsd:
            return False
        west, _, _, north = outline.bounds
        to_north, to_east = metres_per_degree(north)
        self._origin, self._cell = (west, north), (gsd / float(to_east), gsd / float(to_north))
        return True

    def _indices(self, segmentation: Segmentation) -> npt.NDArray[np.intp]:
        """Class of the mosaic for each class of a frame: they differ where the vocabulary changes on the way."""
        for name, color in zip(segmentation.table.names, segmentation.table.colors, strict=True):
            self._names.setdefault(name, color)
        if len(self._names) > UNSEEN:
            raise RssegError(f"{self.path}: {len(self._names)} classes, but a mosaic holds {UNSEEN}")
        order = list(self._names)
        return np.array([order.index(name) for name in segmentation.table.names], np.intp)

    def _tile_of(self, longitude: float, latitude: float) -> tuple[int, int]:
        assert self._origin is not None
        column, row = (longitude - self._origin[0]) / self._cell[0], (self._origin[1] - latitude) / self._cell[1]
        return int(row // TILE), int(column // TILE)

    def _vote(
        self,
        key: tuple[int, int],
        place: Georeference,
        segmentation: Segmentation,
        indices: npt.NDArray[np.intp],
        mask: npt.NDArray[np.bool_] | None,
    ) -> None:
        assert self._origin is not None
        assert self._votes is not None
        nodes = np.arange(0, TILE + LATTICE, LATTICE, dtype=np.float64)
        longitude = self._origin[0] + (key[1] * TILE + nodes) * self._cell[0]
        latitude = self._origin[1] - (key[0] * TILE + nodes) * self._cell[1]
        pixels = place.mapping.to_pixels(np.stack(np.meshgrid(longitude, latitude), axis=-1))
        (x_down, x_right), (y_down, y_right) = (np.gradient(pixels[..., k], LATTICE) for k in (0, 1))
        resolved = np.minimum(1.0, np.abs(x_right * y_down - x_down * y_right))
        x, y, share = (_between(values) for values in (pixels[..., 0], pixels[..., 1], resolved))
        height, width = segmentation.class_map.shape
        with np.errstate(invalid="ignore"):
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & np.isfinite(share)
        rows, columns = np.nonzero(inside)
        if not rows.size:
            return
        v, u = y[rows, columns].astype(np.intp), x[rows, columns].astype(np.intp)
        weight = segmentation.confidence[v, u] * share[rows, columns] / 255
        if mask is not None:
            weight = weight * mask[v, u]
        classes = indices[segmentation.class_map[v, u]]
        votes = self._votes.get(key, len(self._names))
        votes[classes, rows, columns] += weight.astype(np.float32)  # each cell comes up once

    def _write_file(self, target: Path) -> None:
        import rasterio
        import rasterio.shutil
        from rasterio.transform import from_origin
        from rasterio.windows import Window

        assert self._votes is not None
        assert self._origin is not None
        keys = self._votes.keys()
        (top, left), (bottom, right) = np.min(keys, axis=0).tolist(), np.max(keys, axis=0).tolist()
        width, height = (right - left + 1) * TILE, (bottom - top + 1) * TILE
        if max(width, height) > MOST_CELLS:
            raise RssegError(f"{self.path}: {width}x{height} cells are too many; take larger ones with --gsd")
        west = self._origin[0] + left * TILE * self._cell[0]
        north = self._origin[1] - top * TILE * self._cell[1]
        plain = PartPath(target.with_name(f"{target.stem}.plain.tif"))
        try:
            with rasterio.open(
                plain.part,
                "w",
                driver="GTiff",
                width=width,
                height=height,
                count=1,
                dtype="uint8",
                nodata=UNSEEN,
                crs="EPSG:4326",
                transform=from_origin(west, north, *self._cell),
                tiled=True,
                blockxsize=TILE,
                blockysize=TILE,
                compress="deflate",
                sparse_ok=True,
                bigtiff="if_safer",
            ) as file:
                for row, column in keys:
                    votes = self._votes.get((row, column), len(self._names))
                    classes = votes.argmax(axis=0).astype(np.uint8)
                    classes[votes.max(axis=0) == 0] = UNSEEN
                    file.write(classes, 1, window=Window((column - left) * TILE, (row - top) * TILE, TILE, TILE))
                file.write_colormap(1, {k: (*color, 255) for k, color in enumerate(self._names.values())})
                file.update_tags(CLASSES=json.dumps(dict(enumerate(self._names)), ensure_ascii=False))
            rasterio.shutil.copy(plain.part, target, driver="COG", compress="deflate", overview_resampling="mode")
        except rasterio.errors.RasterioError as error:
            raise RssegError(f"cannot write {self.path}: {error}") from None
        finally:
            plain.discard()


def _mask(visible: Any, size: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
    """bool [H, W]: pixels that see the ground; None where all do."""
    import cv2
    import shapely

    width, height = size
    if visible.area >= width * height * (1 - 1e-9):
        return None
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, shapely.get_coordinates(visible).round().astype(np.int32), 1)
    return mask.astype(bool)


def _between(nodes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Values at the middles of a tile's cells, bilinear between nodes at the corners of every LATTICE-th."""
    at = (np.arange(TILE) + 0.5) / LATTICE
    low = at.astype(np.intp)
    t = at - low
    rows = nodes[low] * (1 - t)[:, None] + nodes[low + 1] * t[:, None]
    return rows[:, low] * (1 - t) + rows[:, low + 1] * t
