"""A STAC item of a scene's results."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from rsseg_edge.scenes.georeference import GeoReference
from rsseg_edge.types import ClassTable

STAC_VERSION = "1.0.0"
_EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
    "https://stac-extensions.github.io/classification/v1.1.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.1.0/schema.json",
]
_MEDIA = {
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".gpkg": "application/geopackage+sqlite3",
    ".fgb": "application/vnd.flatgeobuf",
    ".geojson": "application/geo+json",
    ".csv": "text/csv",
    ".json": "application/json",
    ".png": "image/png",
    ".html": "text/html",
}


def software_version() -> str:
    """Of this package."""
    try:
        return version("rsseg-edge")
    except PackageNotFoundError:
        return "unknown"


def stac_item(
    name: str,
    source: str,
    geo: GeoReference,
    table: ClassTable,
    model: str,
    files: Mapping[str, str],
    tags: Mapping[str, str],
) -> str:
    """The item, as JSON.

    Its time is the scene's own (TIFFTAG_DATETIME) where the file has one, and that of processing where it has none.

    Args:
        name: of the scene.
        source: path or URL of the scene.
        geo: its grid.
        table: the classes.
        model: the bundle's name.
        files: role ("classes", "polygons", ...) and name of each result, beside the item.
        tags: of the scene.
    """
    outline = geo.outline()
    west, south = outline.min(0).tolist()
    east, north = outline.max(0).tolist()
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    code = geo.crs.to_epsg()
    classes = [
        {"value": k, "name": re.sub(r"[^0-9A-Za-z_-]+", "_", n), "description": n, "color_hint": "%02X%02X%02X" % c}  # noqa: UP031
        for k, (n, c) in enumerate(zip(table.names, table.colors, strict=True))
    ]
    assets: dict[str, Any] = {}
    for key, file in files.items():
        suffix = "." + file.rsplit(".", 1)[-1]
        assets[key] = {"href": f"./{file}", "type": _MEDIA[suffix], "roles": [_role(key)]}
    if "classes" in assets:
        assets["classes"]["classification:classes"] = classes
    item = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": _EXTENSIONS,
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [np.round(outline, 8).tolist()]},
        "bbox": [west, south, east, north],
        "properties": {
            "datetime": _time(tags) or now,
            "created": now,
            "gsd": round(geo.ground_sampling_distance(), 4),
            "proj:epsg": code,
            **({} if code else {"proj:wkt2": geo.crs.to_wkt(version="WKT2_2019")}),
            "proj:shape": [geo.height, geo.width],
            "proj:transform": [*geo.transform],
            "processing:software": {"rsseg-edge": software_version()},
            "processing:lineage": f"semantic segmentation by {model}",
        },
        "links": [{"rel": "derived_from", "href": source}],
        "assets": assets,
    }
    return json.dumps(item, indent=2, ensure_ascii=False)


def _role(key: str) -> str:
    return {"quicklook": "overview", "map": "overview"}.get(key, "data")


def _time(tags: Mapping[str, str]) -> str | None:
    try:
        time = datetime.strptime(tags.get("TIFFTAG_DATETIME", ""), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
