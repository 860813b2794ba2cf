"""Write a bundle: every file to a temporary folder beside the target, then one rename."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from rsseg_edge.bundle import MANIFEST, NAME, Manifest
from rsseg_edge.errors import RssegError, UsageError


def checksums(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 in hex of each file."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def bundle_name(name: str | None, folder: Path) -> str:
    """The name that is asked for, or the folder's.

    Raises:
        UsageError: no bundle may be called so.
    """
    found = name or folder.resolve().name
    if not re.fullmatch(NAME, found):
        raise UsageError(
            f"output {folder}: a bundle's name is letters, digits, '.', '_' and '-', of those a letter or digit first"
        )
    return found


def check_target(folder: Path) -> None:
    """Refuse to replace anything that is not a bundle or an empty folder.

    Raises:
        UsageError: ``folder`` is something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"output {folder} is a file: a bundle is a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise UsageError(f"output {folder} holds other files and is no bundle: choose another folder with -o")


def write_bundle(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Put a bundle in place of ``folder``. A kill leaves the earlier bundle or the new one, never a mixture.

    Raises:
        UsageError: ``folder`` holds something that is not a bundle.
        RssegError: it cannot be written; what was there before is untouched.
    """
    check_target(folder)
    fresh = folder.with_name(f".{folder.name}.partial")
    old = folder.with_name(f".{folder.name}.old")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for name, data in {**files, MANIFEST: (manifest.model_dump_json(indent=2) + "\n").encode()}.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            with open(fresh / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise RssegError(f"cannot write bundle {folder}: {error.strerror}; what was there before is kept") from None
