"""Engines on disk: found again by all that they depend on, whole or absent, with what the parity gate found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rsseg_edge.errors import RssegError
from rsseg_edge.sinks.part_file import write_synced

PLAN, RECORD = "engine.plan", "engine.json"
_ONCE_A_BUILD = 1  # part of every key: raise it when the builder makes another engine of the same


@dataclass(frozen=True)
class Identity:
    """All that an engine depends on. An engine of another identity is another engine.

    Attributes:
        model: SHA-256 of the ONNX file.
        shapes: of the inputs, for instance ``image 1x288x512x3``.
        runtime: name and version of the builder.
        gpu: its name.
        capability: compute capability, for instance "8.7".
        processors: multiprocessors; modules of one name differ in it (an Orin has 8, 14 or 16).
        plugins: SHA-256 of the plugin library; empty where none is used.
        options: of the builder.
    """

    model: str
    shapes: str
    runtime: str
    gpu: str
    capability: str
    processors: int
    plugins: str
    options: str

    @property
    def key(self) -> str:
        """Name of its folder."""
        text = json.dumps([_ONCE_A_BUILD, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Record:
    """What is known of an engine.

    Attributes:
        identity: see :class:`Identity`.
        bundle: name of the bundle that it was built from.
        file: the graph's file in the bundle.
        built: UTC, ISO 8601.
        seconds: that the build took.
        plan: SHA-256 of the engine; empty where it was refused.
        size: bytes of the engine.
        agreement: share, 0..1, of decisions that it has in common with ONNX Runtime.
        frames: inputs that the parity gate ran.
        refused: why the engine was thrown away; empty where it was not.
    """

    identity: Identity
    bundle: str
    file: str
    built: str
    seconds: float
    plan: str
    size: int
    agreement: float
    frames: int
    refused: str = ""


class EngineCache:
    """A folder of engines, one folder each.

    Args:
        root: made when something is kept; None takes the user's cache folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or _default_root()

    def find(self, identity: Identity) -> tuple[Record, bytes] | str:
        """The engine of an identity, or why there is none.

        An engine that the parity gate refused comes as its record and no bytes. A damaged one is left to its successor:
        removing it here could hit that instead.
        """
        folder = self.root / identity.key
        record = _read_record(folder)
        if record is None:
            return "the one on disk has no readable record" if folder.exists() else self._nearest(identity)
        if record.refused:
            return record, b""
        try:
            plan = (folder / PLAN).read_bytes()
        except OSError as error:
            plan, reason = b"", f"the one on disk cannot be read ({error.strerror})"
        else:
            reason = "the one on disk does not match its checksum"
        if hashlib.sha256(plan).hexdigest() != record.plan:
            return reason
        return record, plan

    def keep(self, record: Record, plan: bytes) -> None:
        """Publish an engine, whole: a reader sees all of it or none.

        Raises:
            RssegError: it cannot be written; nothing of it is left then.
        """
        folder = self.root / record.identity.key
        fresh = self.root / f".{record.identity.key}.{os.getpid()}.partial"
        try:
            fresh.mkdir(parents=True)
            if plan:
                write_synced(fresh / PLAN, plan)
            write_synced(fresh / RECORD, (json.dumps(asdict(record), indent=2) + "\n").encode())
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
        except OSError as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise RssegError(f"engine cache {self.root}: {error.strerror}; the engine is not kept") from None

    def records(self) -> list[Record]:
        """Of all engines, the newest first."""
        folders = [f for f in self.root.iterdir() if not f.name.startswith(".")] if self.root.is_dir() else []
        found = [record for record in map(_read_record, folders) if record is not None]
        return sorted(found, key=lambda record: record.built, reverse=True)

    @contextmanager
    def building(self, identity: Identity, say: Callable[[str], None]) -> Iterator[None]:
        """Hold the right to build an engine; waits while another process builds it.

        The lock is the system's and goes with the process, so that a kill leaves none behind. Where the file system
        or the system has no locks two processes may build the same engine: the later one takes the earlier's place.
        """
        lock = None
        try:
            import fcntl

            self.root.mkdir(parents=True, exist_ok=True)
            lock = open(self.root / f".{identity.key}.lock", "ab")  # noqa: SIM115 (closed below)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another process builds this engine; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass
        try:
            yield
        finally:
            if lock is not None:
                lock.close()

    def read_timings(self, identity: Identity) -> bytes:
        """What builders measured for this GPU and runtime; empty where nothing is kept."""
        try:
            return self._timings(identity).read_bytes()
        except OSError:
            return b""

    def keep_timings(self, identity: Identity, timings: bytes) -> None:
        """Keep what a builder measured: the next build takes a fraction of the time."""
        path = self._timings(identity)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_synced(partial, timings)
            os.replace(partial, path)
        except OSError:  # without it the next build is slower, not wrong
            with suppress(OSError):
                partial.unlink()

    def _timings(self, identity: Identity) -> Path:
        board = f"{identity.runtime}|{identity.gpu}|{identity.capability}|{identity.processors}"
        return self.root / ".timings" / f"{hashlib.sha256(board.encode()).hexdigest()[:24]}.cache"

    def _nearest(self, identity: Identity) -> str:
        """Why none of the engines at hand will do: what the one with the fewest differences differs in."""
        wanted = asdict(identity)
        others = [asdict(r.identity) for r in self.records() if r.identity.model == identity.model]
        if not others:
            return "there is none of this model yet"
        nearest = min(others, key=lambda other: sum(other[k] != wanted[k] for k in wanted))
        return "; ".join(_difference(k, nearest[k], wanted[k]) for k in wanted if nearest[k] != wanted[k])


def _difference(name: str, old: Any, new: Any) -> str:
    if name == "plugins":
        return "the plugin library is another than at the last build"
    return f"{name} {new}, the last build was for {old}"


def _read_record(folder: Path) -> Record | None:
    try:
        data: Mapping[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        identity = Identity(**data["identity"])
        record = Record(**{**data, "identity": identity})
        typed = all(isinstance(getattr(record, f.name), str) for f in fields(Record) if f.type == "str")
        return record if typed and identity.key == folder.name else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _default_root() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "rsseg-edge" / "engines"


def now() -> str:
    """The time for a record."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
