"""Borders that were cut between bands, joined again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg_edge.polygons.reference.borders import BandBorders, Borders

Points = npt.NDArray[np.float64]
Place = tuple[float, float]


@dataclass(eq=False)
class _Piece:
    """A part of a border, with ``Borders``' attributes, and the x of its ends where those are cuts."""

    parts: list[Points]
    left: int
    right: int
    leaves: int
    arrives: int
    first_cut: Place | None
    last_cut: Place | None

    def turn(self) -> None:
        """Run it the other way."""
        self.parts = [part[::-1] for part in reversed(self.parts)]
        self.left, self.right = self.right, self.left
        self.leaves, self.arrives = (self.arrives + 2) % 4, (self.leaves + 2) % 4
        self.first_cut, self.last_cut = self.last_cut, self.first_cut


class Seams:
    """Keeps the borders that reach the last row so far."""

    def __init__(self) -> None:
        self._open: dict[Place, _Piece] = {}

    def join(self, band: BandBorders, name: Callable[[int], int]) -> Borders:
        """The next band; all borders that are complete with it.

        Args:
            band: its borders.
            name: what a region is called in this band, by what it was called before.
        """
        borders = band.borders
        whole = ~(band.cut_first | band.cut_last)
        for piece in {id(piece): piece for piece in self._open.values()}.values():
            piece.left, piece.right = name(piece.left), name(piece.right)
            if piece.left > piece.right:
                piece.turn()
        below: dict[Place, _Piece] = {}
        for index in np.flatnonzero(~whole).tolist():
            points = borders.points[borders.offsets[index] : borders.offsets[index + 1]]
            first, last = ((float(x), float(y)) for x, y in points[[0, -1]])
            piece = _Piece(
                [points],
                int(borders.left[index]),
                int(borders.right[index]),
                int(borders.leaves[index]),
                int(borders.arrives[index]),
                first if band.cut_first[index] else None,
                last if band.cut_last[index] else None,
            )
            for cut in (piece.first_cut, piece.last_cut):
                if cut is not None:
                    below[cut] = piece
        complete: list[_Piece] = []
        through = set(band.through.tolist())
        for cut, piece in self._open.items():
            if cut[0] in through:
                continue
            if piece.first_cut == cut:  # it met others there
                piece.first_cut = None
            else:
                piece.last_cut = None
            if piece.first_cut is None and piece.last_cut is None:
                complete.append(piece)
        for cut in [cut for cut in self._open if cut[0] in through]:
            complete += self._join(cut, self._open[cut], below[cut], below)
            del below[cut]
        self._open = below
        return Borders.joined([borders.take(whole), _as_borders(complete)])

    def _join(self, cut: Place, a: _Piece, b: _Piece, below: dict[Place, _Piece]) -> list[_Piece]:
        """Make one of two pieces that meet at a cut; it is given back where it is complete."""
        if a.last_cut != cut:
            a, b = b, a
        straight = a.arrives == b.leaves
        if a is b:
            _close(a, straight=straight)
            return [a]
        a.parts[-1] = a.parts[-1][: len(a.parts[-1]) - straight]
        a.parts += [b.parts[0][1:], *b.parts[1:]]
        a.arrives, a.last_cut = b.arrives, b.last_cut
        if a.last_cut is not None:
            table = below if below.get(a.last_cut) is b else self._open
            table[a.last_cut] = a
        return [a] if a.first_cut is None and a.last_cut is None else []


def _close(piece: _Piece, *, straight: bool) -> None:
    """A ring begins at its first corner, row by row, wherever it was cut."""
    points = np.concatenate(piece.parts)[straight:-1]
    begin = int(np.lexsort((points[:, 0], points[:, 1]))[0])
    points = np.roll(points, -begin, axis=0)
    piece.parts = [np.concatenate([points, points[:1]])]
    piece.first_cut = piece.last_cut = None


def _as_borders(pieces: list[_Piece]) -> Borders:
    points = [np.concatenate(piece.parts) for piece in pieces]
    lengths = np.array([len(part) for part in points], np.int64)
    return Borders(
        np.concatenate([np.zeros((0, 2)), *points]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array([piece.left for piece in pieces], np.int64),
        np.array([piece.right for piece in pieces], np.int64),
        np.array([piece.leaves for piece in pieces], np.uint8),
        np.array([piece.arrives for piece in pieces], np.uint8),
    )
