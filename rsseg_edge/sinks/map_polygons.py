"""Polygons of a frame, from its pixels to the map."""

from __future__ import annotations

from typing import Any

import numpy as np

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


def to_map(polygon: Any, place: Georeference, visible: Any, *, dense: bool = True) -> list[Any]:
    """Polygons in longitude and latitude of what can be seen of a polygon in pixel coordinates.

    Args:
        polygon: shapely, in pixel coordinates.
        place: where the frame lies.
        visible: of :func:`visible_area`.
        dense: add vertices to long edges.

    Returns:
        Shapely polygons, valid and oriented counter-clockwise; none where it sees no ground.
    """
    import shapely

    if not visible.contains(polygon):
        polygon = polygon.intersection(visible)
    if dense:
        polygon = shapely.segmentize(polygon, LONGEST)
    found = []
    for part in shapely.get_parts(polygon):
        if not isinstance(part, shapely.Polygon) or part.is_empty:
            continue
        ground = place.mapping.to_ground(shapely.get_coordinates(part))
        if not np.isfinite(ground).all():
            continue
        moved = shapely.make_valid(shapely.set_coordinates(part, ground))
        found += [p.normalize() for p in shapely.get_parts(moved) if isinstance(p, shapely.Polygon) and p.area > 0]
    return found


def square_metres(polygon: Any) -> float:
    """Area of a polygon in longitude and latitude, as it lies on the plane that touches the ellipsoid at it."""
    import shapely

    middle = polygon.representative_point()
    flat = shapely.transform(polygon, lambda points: metres_around(points, (middle.y, middle.x)))
    return float(flat.area)


def ground_sampling_distance(place: Georeference) -> float | None:
    """Metres of the side of a square as large as the ground under the middle pixel; None where that is sky."""
    width, height = place.size
    around = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - 0.5 + [width / 2, height / 2]
    ground = place.mapping.to_ground(around)
    if not np.isfinite(ground).all():
        return None
    x, y = metres_around(ground, (float(ground[0, 1]), float(ground[0, 0]))).T
    area = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    return area**0.5
