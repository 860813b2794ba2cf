"""What is finished of a scene, on disk: a run that was killed goes on from there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from rsseg_edge.errors import RssegError
from rsseg_edge.scenes.layers import LAYERS, Layers
from rsseg_edge.scenes.reading import Failure
from rsseg_edge.sinks.part_file import named_errors, write_file


@dataclass(frozen=True)
class BandDone:
    """A line of the journal.

    Attributes:
        band: its index.
        checksums: CRC-32 of its rows of each layer.
        failures: all that could not be read of the scene so far.
    """

    band: int
    checksums: tuple[int, ...]
    failures: tuple[Failure, ...] = field(default=())

    def line(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, line: str) -> BandDone | None:
        """From JSON; None for a line that was cut short."""
        try:
            data = json.loads(line)
            failures = tuple(Failure(**f) for f in data["failures"])
            return cls(int(data["band"]), tuple(int(c) for c in data["checksums"]), failures)
        except (ValueError, KeyError, TypeError):
            return None


class Journal:
    """Finished bands, a line each, on the disk before :meth:`add` comes back.

    Args:
        path: appended to.

    Raises:
        RssegError: the file system refuses.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with named_errors(path):
            self._file = path.open("ab", buffering=0)  # what a full disk refuses is not tried again when this is closed

    def add(self, done: BandDone) -> None:
        """Note that a band is finished.

        Raises:
            RssegError: the file system refuses.
        """
        with named_errors(self._path):
            line = f"{done.line()}\n".encode()
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class Work:
    """The folder of a scene that is at work: settings, layers, and a journal of finished bands.

    One process at a time works on it; its workers write into the layers.

    Args:
        folder: hidden beside the results.
        settings: what the result depends on. Where they are not those of the work that lies there, it begins anew.
        bounds: output rows at which bands begin, and their end.
        width: of the scene.
        names: of the layers.

    Attributes:
        resumed: how many bands were there already.

    Raises:
        RssegError: the file system refuses, or another process works on it.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        bounds: Sequence[int],
        width: int,
        names: Sequence[str] = LAYERS,
    ) -> None:
        self.folder, self.bounds = folder, tuple(bounds)
        self.layers = Layers(folder, self.bounds[-1], width, names)
        self._done: dict[int, BandDone] = {}
        with named_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = _Lock(folder / "lock")
        try:
            text = json.dumps(settings, sort_keys=True)
            if not self._continues(text):
                for path in folder.iterdir():
                    if path.name != "lock":
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                write_file(folder / "settings.json", text.encode())
            self.layers.create()
            self._read_journals()
            self._journal = Journal(folder / "journal")
        except BaseException:
            self._lock.release()
            raise
        self.resumed = len(self._done)

    @property
    def missing(self) -> list[int]:
        """Bands that are not finished, in order."""
        return [band for band in range(len(self.bounds) - 1) if band not in self._done]

    @property
    def rows(self) -> int:
        """Rows from the top that are finished without a gap."""
        return self.bounds[next(iter(self.missing), len(self.bounds) - 1)]

    def finished_rows(self) -> list[tuple[int, int]]:
        """First row and end of every band that is finished."""
        return [(self.bounds[band], self.bounds[band + 1]) for band in self._done]

    @property
    def failures(self) -> list[Failure]:
        """All that could not be read, in order."""
        return sorted({failure for done in self._done.values() for failure in done.failures})

    def add(self, done: BandDone) -> None:
        """Note that a band is finished.

        Raises:
            RssegError: the file system refuses.
        """
        self._done[done.band] = done
        self._journal.add(done)

    def noted(self, done: BandDone) -> None:
        """A band is finished, and a journal of its own in this folder says so."""
        self._done[done.band] = done

    def once(self, name: str, measure: Callable[[], Any]) -> Any:
        """What was measured when the work began, so that the rest is made with the same: a JSON value.

        Raises:
            RssegError: the file system refuses.
        """
        path = self.folder / f"{name}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            value = measure()
            write_file(path, json.dumps(value).encode())
            return value

    def remove(self) -> None:
        """Delete the folder: the results are published."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Let go of the folder, which stays for the next run."""
        self._journal.close()
        self._lock.release()

    def __enter__(self) -> Work:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _continues(self, settings: str) -> bool:
        try:
            return (self.folder / "settings.json").read_text(encoding="utf-8") == settings
        except (OSError, UnicodeDecodeError):
            return False

    def _read_journals(self) -> None:
        for path in sorted(self.folder.glob("journal*")):
            try:
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            except OSError as error:
                raise RssegError(f"cannot read {path}: {error.strerror}") from None
            for line in lines:
                done = BandDone.parse(line) if line.endswith("\n") else None
                if done is not None and 0 <= done.band < len(self.bounds) - 1 and self._intact(done):
                    self._done[done.band] = done
            if lines and not lines[-1].endswith("\n"):  # cut short by a kill: what follows begins a line of its own
                with named_errors(path), path.open("ab") as file:
                    file.write(b"\n")

    def _intact(self, done: BandDone) -> bool:
        top, bottom = self.bounds[done.band : done.band + 2]
        found = tuple(zlib.crc32(self.layers.read(layer, top, bottom).data) for layer in self.layers.names)
        return found == done.checksums


class _Lock:
    """An advisory lock on a file; the system lets go of it when the process dies."""

    def __init__(self, path: Path) -> None:
        import fcntl

        with named_errors(path):
            self._file = path.open("ab", buffering=0)  # what a full disk refuses is not tried again when this is closed
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.close()
                raise RssegError(f"another process is at work in {path.parent}; give another folder with -o") from None

    def release(self) -> None:
        self._file.close()
