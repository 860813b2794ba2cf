"""What the page shows, kept by one thread that runs and read by those that serve."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.monitor import StreamMonitor
from rsseg_edge.postprocess.drawing import Drawing
from rsseg_edge.stages import StageTimes
from rsseg_edge.types import Result

HISTORY = 120  # points of the area chart, one a second
QUALITY = 80  # of the JPEG pictures

Ask = Callable[[str], Sequence[str]]
"""Takes what was typed, raises UsageError or RssegError where it cannot be met, gives back lines to tell."""


class Board:
    """The latest frame and what is known of the run.

    Args:
        kind: what the box takes: "classes", "sentences", or None where the model's classes are fixed.
        ask: changes them.
        stream: of a live input.
        alpha: weight of the classes' colours, 0..1.

    Attributes:
        stages: how long each stage of the run takes.
        pushes: what is known of those that the overlay is sent to.
    """

    def __init__(self, kind: str | None, ask: Ask, stream: StreamMonitor | None, alpha: float) -> None:
        self.kind, self._ask, self.stream, self._alpha = kind, ask, stream, alpha
        self._changed = threading.Condition()
        self._latest: Result | None = None
        self._number = 0
        self._begin = time.monotonic()
        self._recent: deque[float] = deque(maxlen=60)
        self._history: deque[tuple[float, dict[str, float]]] = deque(maxlen=HISTORY)
        self._ended = False
        self.stages: Mapping[str, StageTimes] = {}
        self.pushes: Sequence[StreamMonitor] = ()

    def show(self, result: Result) -> None:
        """Take a frame."""
        now = time.monotonic()
        with self._changed:
            self._latest = result
            self._number += 1
            self._recent.append(now)
            if not self._history or now - self._history[-1][0] >= 1:
                names = result.segmentation.table.names
                total = result.segmentation.class_map.size
                shares = {name: int(n) / total for name, n in zip(names, result.pixels, strict=True)}
                self._history.append((now, shares))
            self._changed.notify_all()

    def end(self) -> None:
        """No frame comes any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def picture(self, after: int, hidden: frozenset[str], patience: float = 5.0) -> tuple[int, bytes] | None:
        """The newest frame later than number ``after`` as a JPEG with its number; None where none comes.

        Args:
            after: number of the frame that the client has.
            hidden: names of classes that it does not want drawn.
            patience: seconds to wait.
        """
        import cv2

        with self._changed:
            self._changed.wait_for(lambda: self._number > after or self._ended, patience)
            result, number = self._latest, self._number
        if result is None or number <= after:
            return None
        names = [name for name in result.segmentation.table.names if name not in hidden]
        table = result.segmentation.table
        if hidden and table.background is not None:
            names = [name for name in names if name != table.names[table.background]]
        picture = Drawing(names if hidden else None, self._alpha).draw(result.frame.image, result.segmentation)
        ok, data = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
        return (number, data.tobytes()) if ok else None

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self._ended

    def ask(self, text: str) -> dict[str, Any]:
        """Change what is segmented; ``error`` holds the one line that says why not."""
        try:
            return {"notes": list(self._ask(text))}
        except (UsageError, RssegError) as error:
            return {"error": str(error)}

    def state(self) -> dict[str, Any]:
        """Everything that the page shows beside the picture, as JSON takes it."""
        with self._changed:
            result, number, recent, history = self._latest, self._number, list(self._recent), list(self._history)
        rate = (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 and recent[-1] > recent[0] else 0.0
        found: dict[str, Any] = {
            "frames": number,
            "rate": round(rate, 2),
            "seconds": round(time.monotonic() - self._begin, 1),
            "ended": self._ended,
            "kind": self.kind,
            "classes": [],
            "history": [[round(at - self._begin, 1), shares] for at, shares in history],
            "stages": {
                name: {"median_ms": round(1e3 * t.quantile(0.5), 2), "p99_ms": round(1e3 * t.quantile(0.99), 2)}
                for name, t in self.stages.items()
            },
            "stream": None if self.stream is None else _status(self.stream),
            "pushes": [_status(push) for push in self.pushes],
        }
        if result is not None:
            table, total = result.segmentation.table, result.segmentation.class_map.size
            found["classes"] = [
                {"name": name, "color": list(color), "share": round(int(pixels) / total, 5)}
                for name, color, pixels in zip(table.names, table.colors, result.pixels, strict=True)
            ]
        return found


def _status(monitor: StreamMonitor) -> dict[str, Any]:
    status = monitor.status()
    return asdict(status) | {"state": status.state.value, "largest_age": monitor.ages.largest}
