"""What is known of a stream while it runs: state, frames, what was dropped and why, the age of what is shown."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from rsseg_edge.event_log import tell
from rsseg_edge.stages import Recent

LOG = logging.getLogger("rsseg_edge.stream")
TELL = 10.0  # seconds from one event of dropped frames to the next: a camera may drop 50 in one


class State(str, Enum):
    """Of a stream. A file is streaming until it has ended."""

    connecting = "connecting"
    streaming = "streaming"
    lost = "lost"
    ended = "ended"


class Dropped(str, Enum):
    """Why a frame was not shown."""

    newer = "newer"  # a newer one came before the network was free
    old = "old"  # older than the greatest lag before the network saw it
    late = "late"  # older than the greatest lag when it was finished
    failed = "failed"  # a stage raised an error
    away = "away"  # the receiver of a push was not there


def shown_name(where: str) -> str:
    """What messages call a stream: its URL without user and password."""
    return re.sub(r"//[^/@]*@", "//", where)


_LATE = frozenset({Dropped.old.value, Dropped.late.value})


@dataclass(frozen=True)
class StreamStatus:
    """A stream at one moment.

    Attributes:
        name: of the stream, without credentials.
        state: where it stands.
        why: what went wrong last; empty where nothing did.
        connections: how often it was opened.
        received: frames that were decoded.
        shown: frames that went into the sinks.
        dropped: frames by reason.
        age: seconds since the arrival of the last frame that was shown; None where there was none, or of a file.
    """

    name: str
    state: State
    why: str
    connections: int
    received: int
    shown: int
    dropped: Mapping[str, int]
    age: float | None


class StreamMonitor:
    """Counts of one stream; any thread may write and read.

    Args:
        name: of the stream, without credentials.
        level: of the log's events that a stream was lost and came back; warnings are shown on a terminal.

    Attributes:
        ages: seconds from the arrival of a frame's packet to the moment at which it was given to the sinks, of every
            frame that was shown.
    """

    def __init__(self, name: str, level: int = logging.WARNING) -> None:
        self.name, self._level = name, level
        self.ages = Recent()
        self._lock = threading.Lock()
        self._state, self._why = State.connecting, ""
        self._connections = self._received = self._shown = 0
        self._dropped: Counter[str] = Counter()
        self._last_arrival: float | None = None
        self._untold: Counter[str] = Counter()
        self._told = -TELL

    def enter(self, state: State, why: str = "") -> None:
        """Change the state; tells the log ``rsseg_edge.stream`` of it."""
        with self._lock:
            before, self._state = self._state, state
            self._why = why or self._why
            self._connections += state is State.streaming and before is not State.streaming
            count = self._connections
        if state is before:
            return
        if state is State.lost:
            tell(LOG, self._level, "lost", f"{self.name}: lost ({why})", stream=self.name, why=why)
        elif state is State.streaming:
            event = "opened" if count == 1 else "reopened"
            level = logging.INFO if count == 1 else self._level  # who was told of the loss is told of the return
            tell(LOG, level, event, f"{self.name}: {event}", stream=self.name, connections=count)
        elif state is State.ended:
            self._tell_dropped()
            tell(LOG, logging.INFO, "ended", f"{self.name}: ended", stream=self.name)

    def receive(self) -> None:
        """Count a decoded frame."""
        with self._lock:
            self._received += 1

    def drop(self, reason: Dropped, count: int = 1) -> None:
        """Count frames that are not shown."""
        with self._lock:
            self._dropped[reason.value] += count
            self._untold[reason.value] += count
            if time.monotonic() - self._told < TELL:
                return
        self._tell_dropped()

    def restart(self, seconds: float) -> None:
        """Tell the log that a reader hung for some time and another one takes its place."""
        text = f"{self.name}: reading hangs for {seconds:g} s; begun anew"
        tell(LOG, logging.WARNING, "decoder restarted", text, stream=self.name, seconds=seconds)

    def _tell_dropped(self) -> None:
        with self._lock:
            untold, self._untold, self._told = self._untold, Counter(), time.monotonic()
            totals = dict(self._dropped)
        for reason, count in untold.items():
            event = "late" if reason in _LATE else "dropped"
            text = f"{self.name}: {count} frames dropped ({reason})"
            fields = {"reason": reason, "count": count, "total": totals[reason]}
            tell(LOG, logging.INFO, event, text, stream=self.name, **fields)

    def show(self, arrived: float | None, now: float) -> None:
        """Count a frame that arrived at a time and goes into the sinks now, both by ``time.monotonic``."""
        with self._lock:
            self._shown += 1
            if arrived is not None:
                self._last_arrival = arrived
                self.ages.append(now - arrived)

    @property
    def state(self) -> State:
        """Where the stream stands."""
        return self._state

    def status(self) -> StreamStatus:
        """Everything at this moment."""
        with self._lock:
            now = time.monotonic()
            age = None if self._last_arrival is None else now - self._last_arrival
            return StreamStatus(
                self.name, self._state, self._why, self._connections, self._received, self._shown,
                dict(self._dropped), age,
            )  # fmt: skip
