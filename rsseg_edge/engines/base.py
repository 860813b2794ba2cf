"""What every runtime offers: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt


class Engine(Protocol):
    """A graph that is ready to run. Not safe to call from two threads at once."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""

    def infer(
        self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Run once; ``outputs`` selects which results are returned (all by default).

        Raises:
            RssegError: the runtime refused the inputs or failed.
        """

    def close(self) -> None:
        """Release what the runtime holds."""
