"""Options of ``rsseg-run``: which go together, and what is said of those that do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum

from rsseg_edge.errors import UsageError


class RtspTransport(str, Enum):
    """How packets of an RTSP stream travel."""

    tcp = "tcp"
    udp = "udp"


@dataclass(frozen=True)
class SceneOptions:
    """Those of a georeferenced scene as they were given, None where they were not."""

    bands: str | None
    stretch: str | None
    tile: int | None
    overlap: int | None
    confidence: bool
    probabilities: bool
    polygons: str | None
    simplify: float | None
    overwrite: bool
    workers: int | None
    cluster: str | None

    def by_name(self) -> dict[str, object]:
        """As the command line names them."""
        return {f"--{name}": value for name, value in asdict(self).items()}


def refuse(options: Mapping[str, object], message: str) -> None:
    """Refuse options that were given though they mean nothing here.

    Args:
        options: by their names; None, False and 0 stand for those that were not given.
        message: has ``{}`` for their names.

    Raises:
        UsageError: one was given.
    """
    given = [name for name, value in options.items() if value not in (None, False, 0.0)]
    if given:
        raise UsageError(message.format(", ".join(given)))


def field_of_view(text: str | None) -> tuple[float, float | None] | None:
    """Degrees across and down of ``--fov H[,V]``.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    try:
        angles = [float(part) for part in text.split(",")]
    except ValueError:
        angles = []
    if len(angles) not in (1, 2):
        raise UsageError(f"--fov {text}: degrees, as 62 or 62,38")
    return angles[0], angles[1] if len(angles) == 2 else None
