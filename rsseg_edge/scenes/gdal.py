"""GDAL as this package uses it: with bounded caches, retries of its own off the network, and errors in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rsseg_edge.errors import RssegError
from rsseg_edge.sinks.part_file import named_errors

CACHE = 64 << 20
"""Bytes of decoded blocks that GDAL keeps: a row of windows of a scene 10,000 pixels wide, of which the next row wants
some again. Its default is a twentieth of the machine's memory."""

FULL = 64 << 10
"""Bytes that a full disk may have left: less than what did not fit."""

_OPTIONS = {
    "GDAL_CACHEMAX": CACHE,
    "GDAL_NUM_THREADS": "1",
    "GDAL_HTTP_MULTIRANGE": "YES",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_MAX_RETRY": "3",  # of a busy server; what else fails is tried again by the reader
    "GDAL_HTTP_RETRY_DELAY": "0.2",
    "VSI_CACHE": "TRUE",
    "VSI_CACHE_SIZE": 16 << 20,
}

REMOTE = ("/vsicurl", "/vsis3", "/vsigs", "/vsiaz", "/vsioss", "/vsiswift", "/vsiwebhdfs", "/vsihdfs")
"""What GDAL's names of files that lie behind a network begin with."""


@contextmanager
def environment(**options: Any) -> Iterator[None]:
    """GDAL's settings, on this thread. Every thread that reads or writes enters its own."""
    import rasterio

    with rasterio.Env(**{**_OPTIONS, **options}):
        yield


def reason(error: BaseException) -> str:
    """What GDAL said, in one line."""
    cause = error.__cause__ if error.__cause__ is not None else error
    text = str(cause).strip() or str(error).strip() or type(error).__name__
    return text.splitlines()[0]


def refusal(path: Path, error: BaseException, guess: str = "") -> RssegError:
    """Why a file cannot be written, to be asked while what was written of it is still there: of a full disk GDAL tells
    that some strip or transaction failed. ``guess`` is added where the disk is not full now."""
    try:
        with named_errors(path):
            disk = os.statvfs(path.parent)
            if disk.f_bavail * disk.f_frsize < FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except RssegError as full:
        return full
    return RssegError(f"cannot write {path}: {reason(error)}{guess}")
