"""Polygons of a frame, from its pixels to the map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rsseg_edge.telemetry.geodesy import metres_per_degree
from rsseg_edge.telemetry.georeference import Georeference
from rsseg_edge.telemetry.homography import metres_around, picture_corners

GRID = 48  # pixels looked up in each direction to find what of a frame sees the ground, where its corners do not
LONGEST = 64.0  # pixels of an outline without a vertex: on curved or rough ground a long edge is no straight line


def visible_area(place: Georeference) -> Any:
    """What of a frame sees the ground: a shapely polygon in pixel coordinates, empty where nothing does.

    The sky begins at a conic, so that the rest of a frame is convex; gaps in a terrain model are not found here.
    """
    import shapely

    if np.isfinite(place.footprint).all():
        return shapely.Polygon(picture_corners(place.size))
    width, height = place.size
    x, y = np.meshgrid(np.linspace(0, width, GRID), np.linspace(0, height, GRID))
    pixels = np.stack([x.ravel(), y.ravel()], axis=-1)
    seen = pixels[np.isfinite(place.mapping.to_ground(pixels)).all(axis=1)]
    hull = shapely.MultiPoint(seen).convex_hull
    return hull if isinstance(hull, shapely.Polygon) else shapely.Polygon()


def to_map(polygons: Sequence[Any], place: Georeference, visible: Any) -> list[tuple[int, Any]]:
    """What can be seen of polygons in pixel coordinates, in longitude and latitude.

    Args:
        polygons: shapely, in pixel coordinates.
        place: where the frame lies.
        visible: of :func:`visible_area`.

    Returns:
        Position of the polygon that it is a part of, and a valid shapely polygon; none for what sees no ground.
    """
    import shapely

    whole = np.array(polygons, dtype=object)
    cut = ~shapely.contains(visible, whole)
    whole[cut] = shapely.intersection(whole[cut], visible)
    parts, owners = shapely.get_parts(shapely.segmentize(whole, LONGEST), return_index=True)
    flat = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(parts)
    parts, owners = parts[flat], owners[flat]
    ground = place.mapping.to_ground(shapely.get_coordinates(parts))
    seen = np.isfinite(ground).all(axis=1)
    vertices = np.repeat(np.arange(len(parts)), shapely.get_num_coordinates(parts))
    kept = np.bincount(vertices, weights=~seen, minlength=len(parts)) == 0
    moved = shapely.make_valid(shapely.set_coordinates(parts[kept], ground[kept[vertices]]))
    valid, again = shapely.get_parts(moved, return_index=True)
    good = (shapely.get_type_id(valid) == shapely.GeometryType.POLYGON) & (shapely.area(valid) > 0)
    return list(zip(owners[kept][again[good]].tolist(), valid[good], strict=True))


def square_metres(polygons: Sequence[Any]) -> list[float]:
    """Areas of polygons in longitude and latitude, each on the plane that touches the ellipsoid at its middle."""
    import shapely

    whole = np.array(polygons, dtype=object)
    if not whole.size:
        return []
    west, south, east, north = shapely.bounds(whole).T
    latitude = (south + north) / 2
    to_north, to_east = metres_per_degree(latitude)
    vertices = np.repeat(np.arange(len(whole)), shapely.get_num_coordinates(whole))
    ground = shapely.get_coordinates(whole) - np.stack([(west + east) / 2, latitude], axis=-1)[vertices]
    metres = ground * np.stack([to_east, to_north], axis=-1)[vertices]
    # Meridians draw together towards the poles: a degree of longitude is shorter at the northern edge of a polygon.
    shrink = np.cos(np.radians(latitude[vertices] + ground[:, 1])) / np.cos(np.radians(latitude))[vertices]
    metres[:, 0] *= shrink
    areas: list[float] = shapely.area(shapely.set_coordinates(whole, metres)).tolist()
    return areas


def ground_sampling_distance(place: Georeference) -> float | None:
    """Metres of the side of a square as large as the ground under the middle pixel; None where that is sky."""
    width, height = place.size
    around = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - 0.5 + [width / 2, height / 2]
    ground = place.mapping.to_ground(around)
    if not np.isfinite(ground).all():
        return None
    x, y = metres_around(ground, (float(ground[0, 1]), float(ground[0, 0]))).T
    area = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    return float(np.sqrt(area))
