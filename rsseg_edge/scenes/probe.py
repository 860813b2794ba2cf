"""Which INPUTs are scenes, told without GDAL: a video or a photo must run where the extra is not installed."""

from __future__ import annotations

import glob
import struct
from collections.abc import Sequence
from pathlib import Path

from rsseg_edge.errors import RssegError, UsageError

SUFFIXES = frozenset({".tif", ".tiff", ".vrt", ".jp2", ".j2k"})
_ALWAYS = frozenset({".vrt", ".jp2", ".j2k"})
_REMOTE = {"s3://": "/vsis3/", "gs://": "/vsigs/", "http://": "/vsicurl/http://", "https://": "/vsicurl/https://"}
_GEO_TAGS = frozenset({33550, 34264, 34735})  # ModelPixelScale, ModelTransformation, GeoKeyDirectory (GeoTIFF 1.1)


def scene_inputs_of(inputs: Sequence[str]) -> list[str] | None:
    """The scenes that several INPUTs name; None where they name something else.

    Raises:
        UsageError: some are scenes and some are not; or see :func:`scene_inputs`.
        RssegError: see there.
    """
    found = {where: scene_inputs(where) for where in inputs}
    scenes = [scene for named in found.values() for scene in named or ()]
    other = next((where for where, named in found.items() if named is None), None)
    if scenes and other is not None:
        scene = next(where for where, named in found.items() if named is not None)
        raise UsageError(f"{scene} is georeferenced and {other} is not: give them in runs of their own")
    return scenes or None


def scene_inputs(where: str) -> list[str] | None:
    """The scenes that an INPUT names, as GDAL takes them; None where it names something else.

    Args:
        where: a raster file, a glob of them, a URL (``s3://``, ``gs://``, ``https://``), a ``/vsi`` path, or a text
            file (``.txt``) with one of these a line.

    Raises:
        UsageError: a list that is empty or names what is no scene.
        RssegError: a list that cannot be read.
    """
    if Path(where).suffix.lower() == ".txt" and Path(where).is_file():
        return _listed(Path(where))
    remote = _remote(where)
    if remote is not None:
        return [remote]
    if not Path(where).exists() and glob.has_magic(where):
        found = sorted(name for name in glob.glob(where, recursive=True) if not Path(name).is_dir())
        if not found or any(Path(name).suffix.lower() not in SUFFIXES for name in found):
            return None
        return found if any(_is_scene(Path(name)) for name in found) else None
    return [where] if _is_scene(Path(where)) else None


def _remote(where: str) -> str | None:
    if where.startswith("/vsi"):
        return where
    for scheme, prefix in _REMOTE.items():
        if where.startswith(scheme):
            path = where.split("?")[0]
            known = Path(path).suffix.lower() in SUFFIXES
            return prefix + where.removeprefix(scheme) if known or not scheme.startswith("http") else None
    return None


def _listed(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise RssegError(f"cannot read the list {path}: {error}") from None
    scenes: list[str] = []
    for line in lines:
        if not line or line.startswith("#"):
            continue
        remote = _remote(line)
        local = path.parent / line
        if remote is None and not local.exists():
            raise UsageError(f"{path}: no such scene: {line}")
        scenes.append(remote or str(local))
    if not scenes:
        raise UsageError(f"{path} names no scenes: one path or URL a line")
    return scenes


def _is_scene(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or not path.is_file():
        return False
    return suffix in _ALWAYS or bool(_tiff_tags(path) & _GEO_TAGS)


def _tiff_tags(path: Path) -> set[int]:
    """Tags of the first image of a TIFF or BigTIFF (TIFF 6.0, section 2); empty where it is none."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
            order = {b"II": "<", b"MM": ">"}.get(head[:2])
            if order is None or len(head) < 16:
                return set()
            big = struct.unpack(f"{order}H", head[2:4])[0] == 43
            offset = struct.unpack(f"{order}Q", head[8:16])[0] if big else struct.unpack(f"{order}I", head[4:8])[0]
            file.seek(offset)
            count_size, entry_size = (8, 20) if big else (2, 12)
            count = int.from_bytes(file.read(count_size), "little" if order == "<" else "big")
            entries = file.read(min(count, 4096) * entry_size)
    except (OSError, ValueError, OverflowError, struct.error):
        return set()
    ends = range(0, len(entries) - entry_size + 1, entry_size)
    return {struct.unpack_from(f"{order}H", entries, at)[0] for at in ends}
