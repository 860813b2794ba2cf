"""What every runtime offers: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt

from rsseg_edge.errors import RssegError

Arrays = Mapping[str, npt.NDArray[Any]]


class EngineAbsentError(RssegError):
    """A runtime is not installed, or this machine has nothing that it runs on. The message is the reason alone."""


@runtime_checkable
class Pending(Protocol):
    """A frame on its way through an engine."""

    def result(self) -> dict[str, npt.NDArray[Any]]:
        """Wait for the outputs. They are the caller's: no later frame changes them. Any thread may ask.

        Raises:
            RssegError: the runtime failed.
        """


class Engine(Protocol):
    """A graph that is ready to run. Frames are started by ``at_once`` threads at a time at most."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""

    @property
    def at_once(self) -> int:
        """How many threads may start frames at the same time."""

    def serve(self, at_once: int) -> None:
        """Get ready for frames of so many threads at a time, where it can: ``at_once`` says how many it takes now."""

    def start(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> Pending:
        """Send a frame off; ``outputs`` selects which results are returned (all by default).

        An engine on a GPU gives back control while it computes, so that frames overlap; one on a CPU does not.

        Raises:
            RssegError: the runtime refused the inputs or failed.
        """

    def infer(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Run once and wait.

        Raises:
            RssegError: the runtime refused the inputs or failed.
        """

    def close(self) -> None:
        """Release what the runtime holds."""


class Done:
    """A result that is there already; see :class:`Pending`."""

    def __init__(self, outputs: dict[str, npt.NDArray[Any]]) -> None:
        self._outputs = outputs

    def result(self) -> dict[str, npt.NDArray[Any]]:
        """The outputs."""
        return self._outputs
