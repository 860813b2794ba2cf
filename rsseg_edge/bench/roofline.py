"""The fastest that a board could run a graph, predicted from its data sheet: no board is needed, and none is timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsseg_edge.bench.operations import Operation
from rsseg_edge.errors import UsageError
from rsseg_edge.kernels.parts import PARTS, Part


@dataclass(frozen=True)
class Roofline:
    """A graph on a board.

    Attributes:
        board: see :class:`rsseg_edge.kernels.parts.Part`.
        operations: of the graph.
        seconds: of each operation: the longer of its arithmetic at the peak rate and its traffic at the bandwidth.
    """

    board: Part
    operations: tuple[Operation, ...]
    seconds: tuple[float, ...]

    @property
    def total(self) -> float:
        """Seconds of all operations, one after the other: none faster than this without fusing them."""
        return sum(self.seconds)

    @property
    def fused(self) -> float:
        """Seconds if only arithmetic counted: no fusion is faster than this."""
        return sum(op.flops / peak(self.board, op.matrix, op.width) for op in self.operations)


def predict(operations: Sequence[Operation], board: Part) -> Roofline:
    """Bound every operation on a board by arithmetic and by traffic."""
    seconds = [
        max(op.flops / peak(board, op.matrix, op.width), op.bytes / (board.bandwidth * 1e9)) for op in operations
    ]
    return Roofline(board, tuple(operations), tuple(seconds))


def peak(board: Part, matrix: bool, width: int) -> float:
    """Operations a second.

    Args:
        board: that computes them.
        matrix: whether they are products of matrices, which tensor cores take from float16 down. Engines are built
            without TF32.
        width: bytes of a factor.
    """
    if not matrix or width > 2:
        return board.fp32_tflops * 1e12
    return board.fp16_tflops * 1e12 * (2 if width == 1 else 1)


def find_board(name: str) -> Part:
    """A board by a part of its name, for instance "orin nano".

    Raises:
        UsageError: none or several are called so.
    """
    found = [part for part in PARTS if name.lower() in part.name.lower()]
    exact = [part for part in found if part.name.lower() == name.lower()]
    if len(found) == 1 or exact:
        return (exact or found)[0]
    known = ", ".join(part.name for part in PARTS)
    raise UsageError(f"--roofline '{name}' is {'no board' if not found else 'more than one board'}: there are {known}")
