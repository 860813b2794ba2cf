"""Votes for classes on a grid of tiles that may be far larger than memory."""

from __future__ import annotations

import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rsseg_edge.sinks.part_file import named_errors

TILE = 256
Votes = npt.NDArray[np.float32]
Key = tuple[int, int]
"""Row and column of a tile."""


class TileVotes:
    """Weights float32 [classes, TILE, TILE] by tile. The tiles used last are in memory, the others in a folder.

    Args:
        beside: the file that is made of them in the end; the folder lies beside it, and errors name it.
        budget: bytes in memory.
    """

    def __init__(self, beside: Path, budget: int = 256 << 20) -> None:
        self._target, self._budget = beside, budget
        with named_errors(beside):
            beside.parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}.", suffix=".votes", dir=beside.parent))
        self._near: OrderedDict[Key, Votes] = OrderedDict()
        self._bytes = 0
        self._far: set[Key] = set()

    def keys(self) -> list[Key]:
        """All tiles that have votes."""
        return sorted(self._near.keys() | self._far)

    def get(self, key: Key, classes: int) -> Votes:
        """The votes of a tile, to be read and added to before the next call; none yet for a tile that is new."""
        votes = self._near.pop(key, None)
        if votes is None and key in self._far:
            with named_errors(self._target):
                votes = np.load(self._path(key), allow_pickle=False)
            self._far.discard(key)
        else:
            self._bytes -= votes.nbytes if votes is not None else 0
        if votes is None or len(votes) < classes:
            grown = np.zeros((classes, TILE, TILE), np.float32)
            if votes is not None:
                grown[: len(votes)] = votes
            votes = grown
        self._near[key] = votes
        self._bytes += votes.nbytes
        self._evict()
        return votes

    def close(self) -> None:
        """Drop everything."""
        self._near.clear()
        self._far.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _evict(self) -> None:
        while self._bytes > self._budget and len(self._near) > 1:
            key, votes = self._near.popitem(last=False)
            with named_errors(self._target):
                np.save(self._path(key), votes)
            self._bytes -= votes.nbytes
            self._far.add(key)

    def _path(self, key: Key) -> Path:
        return self._folder / f"{key[0]}_{key[1]}.npy"
