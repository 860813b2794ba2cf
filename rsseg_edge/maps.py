"""What a run puts on the map: the request, telemetry and terrain opened, and the sinks that write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rsseg_edge.errors import UsageError
from rsseg_edge.sinks.base import Sink
from rsseg_edge.sinks.geo_package import GeoPackage, require_geo
from rsseg_edge.sinks.mosaic import Mosaic
from rsseg_edge.telemetry.georeference import Assumed
from rsseg_edge.telemetry.ground import Ground, LevelGround, TerrainModel
from rsseg_edge.telemetry.locator import Locator
from rsseg_edge.telemetry.open_track import open_track
from rsseg_edge.types import Report, VideoFormat


@dataclass(frozen=True)
class MapRequest:
    """What is to be put on the map, and what helps to find it there.

    Attributes:
        geo: a GeoPackage of class polygons.
        merge: its polygons are merged over time.
        mosaic: a GeoTIFF of the frames' classes.
        gsd: metres of a side of the mosaic's cells; None takes the first frame's.
        telemetry: a file beside the video; None takes its KLV, or the .SRT of the same name.
        offset: seconds from that file's first message to the video's first frame, for logs of an autopilot.
        dem: a GeoTIFF of terrain heights above mean sea level, in metres.
        ground: height of flat ground above mean sea level, in metres.
        fov: horizontal and vertical field of view in degrees; the vertical one may be None.
        mount: elevation of a fixed camera relative to its aircraft, in degrees: -90 looks down.
    """

    geo: Path | None = None
    merge: bool = False
    mosaic: Path | None = None
    gsd: float | None = None
    telemetry: Path | None = None
    offset: float = 0.0
    dem: Path | None = None
    ground: float | None = None
    fov: tuple[float, float | None] | None = None
    mount: float | None = None

    def __post_init__(self) -> None:
        if self.geo is None and self.merge:
            raise UsageError("--geo-merge goes with --geo OUT.gpkg")
        if self.mosaic is None and self.gsd is not None:
            raise UsageError("--gsd goes with --mosaic OUT.tif")
        if self.gsd is not None and self.gsd <= 0:
            raise UsageError(f"--gsd {self.gsd:g}: metres, more than 0")
        if self.dem is not None and self.ground is not None:
            raise UsageError("--dem and --ground both say how high the ground is; give one")
        if self.fov is not None and not all(v is None or 0 < v < 180 for v in self.fov):
            raise UsageError("--fov takes degrees between 0 and 180")
        for path, suffix, option in ((self.geo, ".gpkg", "--geo"), (self.mosaic, ".tif", "--mosaic")):
            if path is not None and path.suffix.lower() != suffix:
                raise UsageError(f"{option} {path}: the name of the file ends in {suffix}")
        helpers = (self.telemetry, self.dem, self.ground, self.fov, self.mount, self.offset or None)
        if not self.wanted and any(value is not None for value in helpers):
            raise UsageError("telemetry and terrain are for --geo OUT.gpkg and --mosaic OUT.tif; give one of them")

    @property
    def wanted(self) -> bool:
        """Whether anything is to be put on the map."""
        return self.geo is not None or self.mosaic is not None


def open_locator(video: VideoFormat | None, request: MapRequest, report: Report) -> Locator | None:
    """Telemetry and terrain of a request; None where nothing is to be put on the map.

    Args:
        video: the input; None for still images.
        request: what is wanted.
        report: told of damaged telemetry, and in the end of frames that are not on the map.

    Raises:
        UsageError: the input has no telemetry, or it cannot say where a single frame lies, or a library is missing.
        RssegError: telemetry or terrain cannot be read.
    """
    if not request.wanted:
        return None
    for option, path in (("--geo", request.geo), ("--mosaic", request.mosaic)):
        if path is not None:
            require_geo(option)
    if video is None:
        raise UsageError("--geo and --mosaic take a video with telemetry; the input is still images")
    ground: Ground | None = None
    if request.dem is not None:
        if not request.dem.is_file():
            raise UsageError(f"--dem {request.dem}: no such file")
        ground = TerrainModel(request.dem)
    elif request.ground is not None:
        ground = LevelGround(request.ground)
    fov, fov_vertical = request.fov or (None, None)
    assumed = Assumed(fov, fov_vertical, request.mount, ground, float(video.pixel_aspect))
    locator = Locator(open_track(video, request.telemetry, request.offset, report), assumed, report)
    locator.check((video.width, video.height))
    return locator


def map_sinks(locator: Locator, request: MapRequest, only: Sequence[str] | None) -> list[Sink]:
    """The sinks of a request.

    Args:
        locator: of :func:`open_locator`.
        request: what is wanted.
        only: names of the classes that become polygons; None takes all but the background.
    """
    sinks: list[Sink] = []
    if request.geo is not None:
        sinks.append(GeoPackage(request.geo, locator.locate, only, merge=request.merge))
    if request.mosaic is not None:
        sinks.append(Mosaic(request.mosaic, locator.locate, request.gsd))
    return sinks
