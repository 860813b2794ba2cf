"""A georeferenced raster, opened: which of its bands are red, green and blue, and what its pixels mean."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.scenes.gdal import REMOTE, environment, reason
from rsseg_edge.scenes.georeference import GeoReference
from rsseg_edge.scenes.reading import Box, Reader
from rsseg_edge.scenes.stretch import Stretch
from rsseg_edge.scenes.thumbnail import Thumbnail
from rsseg_edge.types import UInt8Array

SAMPLE = 256  # pixels a side of the places that a stretch is measured on
SAMPLES = 8  # of them along each side of the scene


@dataclass(frozen=True)
class Options:
    """How a scene is read.

    Attributes:
        bands: of red, green and blue, from 1; None takes what the file says they are.
        percentiles: that become 0 and 255; None takes 2 and 98 where the bands are not 8 bits, and else leaves them.
    """

    bands: tuple[int, int, int] | None = None
    percentiles: tuple[float, float] | None = None


class Scene:
    """A scene that is read window by window, by one thread.

    Args:
        path: a path or URL as GDAL takes it.
        options: how it is read.

    Attributes:
        path: see above.
        geo: its grid.
        bands: of red, green and blue.
        percentiles: for a stretch to be measured by; None where the stored values are 0..255 as they are.
        stretch: from stored values to 0..255; to be set where ``percentiles`` is.
        reader: reads windows, and knows what could not be read.
        thumbnail: is shown what is read; to be set where a picture is wanted.

    Raises:
        UsageError: the file is none that can be segmented; the message says what it lacks.
        RssegError: it cannot be opened.
    """

    def __init__(self, path: str, options: Options) -> None:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError

        self.path = path
        # For one file out of a bucket of a million, the million are not listed: no .ovr and .aux.xml beside it, then.
        listing = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if path.startswith(REMOTE) else {}
        try:
            with warnings.catch_warnings(), environment(**listing):
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # it is an error below
                self._dataset = rasterio.open(path)
        except RasterioError as error:
            raise RssegError(f"cannot open {path}: {reason(error)}") from None
        try:
            self.geo = _georeference(path, self._dataset)
            self.bands = _bands(path, self._dataset, options.bands)
            kind = np.dtype(self._dataset.dtypes[self.bands[0] - 1])
            if kind.kind not in "uif" or any(np.dtype(self._dataset.dtypes[b - 1]) != kind for b in self.bands):
                raise UsageError(f"{path}: bands of type {kind}; --bands takes three of real numbers, all of one type")
            self.reader = Reader(self._dataset, path, self.bands)
            self.percentiles = options.percentiles or (None if kind == np.uint8 else (2.0, 98.0))
            self.stretch: Stretch | None = None
            self.thumbnail: Thumbnail | None = None
        except BaseException:
            self._dataset.close()
            raise

    @property
    def tags(self) -> dict[str, str]:
        """What the file says of itself: TIFFTAG_DATETIME and the like."""
        return dict(self._dataset.tags())

    def read(self, box: Box, shape: tuple[int, int]) -> tuple[UInt8Array, npt.NDArray[np.bool_]]:
        """A part of the scene as an image.

        Args:
            box: the part, in the scene's pixels.
            shape: height and width of the image.

        Returns:
            uint8 [*shape, 3] RGB, and bool [*shape]: where it is valid. What is not has the mean of what is.

        Raises:
            RssegError: nothing can be read any more.
        """
        import cv2

        values, valid = self.reader.read(box, shape)
        image = np.asarray(cv2.merge(list(values)), np.uint8) if self.stretch is None else self.stretch(values)
        if valid.all():
            if self.thumbnail is not None:
                self.thumbnail.show(box, image)
        elif valid.any():
            image[~valid] = np.rint(image[valid].mean(axis=0, dtype=np.float64)).astype(np.uint8)
        return image, valid

    def close(self) -> None:
        """Release the file."""
        self._dataset.close()

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def measure(self) -> Stretch | None:
        """The stretch by ``percentiles``; None where there are none.

        It looks at a grid of places: for more, a whole scene would have to be read, and not every file has overviews.

        Raises:
            UsageError: no valid pixel was found.
            RssegError: nothing can be read.
        """
        if self.percentiles is None:
            return None
        found: list[npt.NDArray[Any]] = []
        height, width = min(SAMPLE, self.geo.height), min(SAMPLE, self.geo.width)
        tops = np.unique(np.linspace(0, self.geo.height - height, SAMPLES).round().astype(int)).tolist()
        lefts = np.unique(np.linspace(0, self.geo.width - width, SAMPLES).round().astype(int)).tolist()
        for top in tops:
            for left in lefts:
                values, valid = self.reader.read(Box(top, left, height, width), (height, width))
                found.append(values[:, valid][:, ::4])
        self.reader.failures.clear()  # they come up again where they leave a hole
        samples = np.concatenate(found, axis=1)
        if not samples.size:
            raise UsageError(f"{self.path}: no valid pixel found in {len(found)} places; is its no-data value right?")
        return Stretch.of_percentiles(samples, self.percentiles)


def _georeference(path: str, dataset: Any) -> GeoReference:
    name = PurePosixPath(path).name
    transform = dataset.transform
    if dataset.crs is None and (dataset.gcps[0] or dataset.rpcs):
        raise UsageError(f"{path}: no grid, only control points or RPCs; gdalwarp {name} north_up.tif makes one")
    if dataset.crs is None:
        raise UsageError(f"{path}: no coordinate reference system; set it with gdal_edit.py -a_srs EPSG:CODE {name}")
    if not (dataset.crs.is_projected or dataset.crs.is_geographic):
        raise UsageError(
            f"{path}: its coordinate reference system is neither projected nor in degrees; "
            f"set the right one with gdal_edit.py -a_srs EPSG:CODE {name}"
        )
    if transform.is_identity:
        raise UsageError(f"{path}: no geotransform: it is not known where it lies; gdal_translate -a_ullr sets it")
    if transform.b or transform.d:
        raise UsageError(f"{path}: its grid is rotated; turn it north up with gdalwarp {name} north_up.tif")
    if not transform.a or not transform.e:
        raise UsageError(f"{path}: its pixels have no size; the geotransform is damaged")
    six = tuple(float(v) for v in transform[:6])
    return GeoReference(dataset.crs.to_wkt(), six, dataset.height, dataset.width)  # type: ignore[arg-type]


def _bands(path: str, dataset: Any, asked: tuple[int, int, int] | None) -> tuple[int, int, int]:
    from rasterio.enums import ColorInterp

    count = int(dataset.count)
    if asked is not None:
        if max(asked) > count:
            raise UsageError(f"{path}: --bands {','.join(map(str, asked))}, but it has {count} band(s)")
        return asked
    meaning = list(dataset.colorinterp)
    colors = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    if all(color in meaning for color in colors):
        red, green, blue = (meaning.index(color) + 1 for color in colors)
        return red, green, blue
    visible = [i + 1 for i, color in enumerate(meaning) if color != ColorInterp.alpha]
    if meaning[0] == ColorInterp.palette:
        raise UsageError(f"{path}: its pixels are indices of a palette; gdal_translate -expand rgb makes colours of it")
    if len(visible) == 3:
        return visible[0], visible[1], visible[2]
    if len(visible) == 1:
        raise UsageError(f"{path}: one band, but the models take three; --bands 1,1,1 shows them a grey picture")
    some = "4,3,2" if count > 3 else "1,2,2"
    raise UsageError(f"{path}: {count} bands, none of them marked red, green and blue; name them, as in --bands {some}")
