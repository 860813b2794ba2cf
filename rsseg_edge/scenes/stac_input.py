"""Scenes that STAC items name: an item, an item collection, or the pages of a search, from a file or a server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from rsseg_edge.errors import RssegError, UsageError

MOST_ITEMS = 10_000
"""A search that finds more was hardly meant."""
MOST_BYTES = 64 << 20
TIMEOUT = 30.0
_SUFFIXES = (".json", ".geojson")
_ENDPOINTS = ("/search", "/items")  # STAC API, item search and features: a GET gives a page of items
_RASTERS = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/geotiff")
_COLORS = {"red", "green", "blue"}


@dataclass(frozen=True)
class StacScene:
    """A picture of an item.

    Attributes:
        href: path or URL of its raster.
        name: the item's id, as a file name.
    """

    href: str
    name: str


def is_stac(where: str) -> bool:
    """Whether an INPUT is taken for STAC: a JSON file or URL, or the search of a STAC API."""
    if where.startswith(("http://", "https://")):
        path = urlsplit(where).path.rstrip("/")
        return path.lower().endswith(_SUFFIXES) or path.endswith(_ENDPOINTS)
    return Path(where).suffix.lower() in _SUFFIXES and Path(where).is_file()


def stac_scenes(where: str) -> list[StacScene]:
    """The picture of every item, in their order.

    It is the asset ``visual``, or the one with that role, or the only one that has red, green and blue, or the only
    raster with the role ``data``.

    Args:
        where: path or URL of an item, an item collection, or a search; further pages are fetched.

    Raises:
        UsageError: it is no such thing, has no items, or an item has no picture.
        RssegError: it cannot be read.
    """
    scenes = [_scene(item, base, where) for item, base in _items(where)]
    if not scenes:
        raise UsageError(f"{where}: no items in it")
    return scenes


def _items(where: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Items, and what their links are relative to."""
    page: tuple[str, bytes | None] | None = (where, None)
    seen: set[tuple[str, bytes | None]] = set()
    count = 0
    while page is not None and page not in seen:
        seen.add(page)
        data = _load(*page)
        kind = data.get("type") if isinstance(data, dict) else None
        found = [data] if kind == "Feature" else data.get("features") if kind == "FeatureCollection" else None
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            what = f"a STAC {kind}" if kind in ("Catalog", "Collection") else "neither a STAC item nor several"
            raise UsageError(f"{page[0]}: {what}; give an item, an item collection or the URL of a search")
        for item in found:
            count += 1
            if count > MOST_ITEMS:
                raise UsageError(f"{where}: more than {MOST_ITEMS} items; narrow the search")
            yield item, page[0]
        page = _next(data, page[0])


def _load(where: str, body: bytes | None) -> Any:
    import urllib.error  # these two cost every other INPUT a moment
    import urllib.request

    try:
        if not where.startswith(("http://", "https://")):
            text = Path(where).read_bytes()
        else:
            head = {"Accept": "application/geo+json, application/json"}
            head |= {} if body is None else {"Content-Type": "application/json"}
            asked = urllib.request.Request(where, body, head)
            with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
                text = answer.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise RssegError(f"{where}: more than {MOST_BYTES >> 20} MiB of JSON; ask for smaller pages")
        return json.loads(text)
    except urllib.error.HTTPError as error:
        raise RssegError(f"cannot read {where}: the server says {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise RssegError(f"cannot read {where} as JSON: {reason}") from None


def _next(data: Mapping[str, Any], base: str) -> tuple[str, bytes | None] | None:
    """The next page of a search (STAC API, pagination): where, and what is posted there."""
    for link in data.get("links", []):
        if isinstance(link, dict) and link.get("rel") == "next" and base.startswith(("http://", "https://")):
            where = urljoin(base, str(link.get("href", "")))
            if not where.startswith(("http://", "https://")):
                raise UsageError(f"{base}: its next page is {where}, which is no web address")
            posts = str(link.get("method", "GET")).upper() == "POST"
            return where, json.dumps(link.get("body", {})).encode() if posts else None
    return None


def _scene(item: Mapping[str, Any], base: str, where: str) -> StacScene:
    name = re.sub(r"[^\w.-]+", "_", str(item.get("id", ""))).strip("._") or "item"
    given = item.get("assets")
    assets = given if isinstance(given, dict) else {}
    assets = {key: asset for key, asset in assets.items() if isinstance(asset, dict) and asset.get("href")}
    chosen = _picture(assets)
    if chosen is None:
        listed = ", ".join(assets) or "none"
        raise UsageError(
            f"{where}: item {name} has no asset 'visual' and no single one in colour (it has: {listed}); "
            f"list the URLs that are meant in a .txt file"
        )
    return StacScene(_place(str(chosen["href"]), base), name)


def _picture(assets: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    rasters = {key: asset for key, asset in assets.items() if _is_raster(asset)}
    if "visual" in rasters:
        return rasters["visual"]
    for choice in (
        [a for a in rasters.values() if "visual" in _roles(a)],
        [a for a in rasters.values() if _colors(a) >= _COLORS],
        [a for a in rasters.values() if "data" in _roles(a)],
        [a for a in rasters.values() if not _roles(a)],
    ):
        if len(choice) == 1:
            return choice[0]
    return None


def _is_raster(asset: Mapping[str, Any]) -> bool:
    if {"thumbnail", "overview"} & _roles(asset):
        return False
    kind = str(asset.get("type", "")).split(";")[0].strip().lower()
    return kind in _RASTERS if kind else urlsplit(str(asset["href"])).path.lower().endswith((".tif", ".tiff", ".jp2"))


def _roles(asset: Mapping[str, Any]) -> set[str]:
    roles = asset.get("roles")
    return {str(role) for role in roles} if isinstance(roles, list) else set()


def _colors(asset: Mapping[str, Any]) -> set[str]:
    """Common names of its bands: eo:bands of STAC 1.0, bands of STAC 1.1."""
    bands = asset.get("eo:bands") or asset.get("bands") or []
    named = [band for band in bands if isinstance(band, dict)] if isinstance(bands, list) else []
    return {str(band.get("common_name") or band.get("eo:common_name")) for band in named}


def _place(href: str, base: str) -> str:
    if re.match(r"[a-z][a-z0-9+.-]*://", href) or href.startswith("/vsi"):
        return href
    if base.startswith(("http://", "https://")):
        return urljoin(base, href)
    return str(Path(base).parent / href)
