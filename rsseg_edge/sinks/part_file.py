"""A file that appears under its name only when it is whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from rsseg_edge.errors import RssegError

_FULL, _REFUSED = "; free some, or choose another disk", "; choose another folder"
_WAYS_OUT = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FULL)
_WAYS_OUT |= dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR), _REFUSED)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into one line that names the file, and a way out where there is one."""
    try:
        yield
    except OSError as error:
        way = _WAYS_OUT.get(error.errno or 0, "")
        raise RssegError(f"cannot write {path}: {error.strerror or error}{way}") from None


class PartFile:
    """Written beside its target as ``NAME.PID.part`` and renamed by :meth:`publish`.

    After a kill only the part file is left.

    Attributes:
        path: the final name.
        file: the open file, buffered: an unbuffered one may write a part and say nothing.
    """

    def __init__(self, path: Path) -> None:
        """Open the part file, making the folder where it is missing.

        Raises:
            RssegError: the file cannot be made.
        """
        self.path = path
        self._part = path.with_name(f"{path.name}.{os.getpid()}.part")
        with named_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file: BinaryIO = self._part.open("wb")

    def publish(self, *, sync: bool = True) -> None:
        """Close the file and give it its name.

        Args:
            sync: wait until the bytes are on the disk, so that a loss of power cannot leave an empty file either.

        Raises:
            RssegError: the last bytes cannot be written; the part file is gone then.
        """
        try:
            with named_errors(self.path):
                self.file.flush()
                if sync:
                    os.fsync(self.file.fileno())
                self.file.close()
                os.replace(self._part, self.path)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Close and remove the part file. Does nothing after :meth:`publish`."""
        with suppress(OSError):  # a full disk refuses the buffered rest once more: it is dropped anyway
            self.file.close()
        with suppress(OSError):
            self._part.unlink()


def write_synced(path: Path, data: bytes) -> None:
    """Write a file in place and wait until its bytes are on the disk; for one that lies where nobody looks yet.

    Raises:
        OSError: the file system refuses.
    """
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_file(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write a whole file at once.

    Raises:
        RssegError: the file system refuses.
    """
    part = PartFile(path)
    try:
        with named_errors(path):
            part.file.write(data)
    except BaseException:
        part.discard()
        raise
    part.publish(sync=sync)
