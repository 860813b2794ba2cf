"""The command line: parsing and printing, no logic. One place turns errors into a line and an exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, NoReturn

from rsseg_edge.errors import RssegError

if TYPE_CHECKING:
    import typer

INTERRUPTED = 130  # 128 + SIGINT, as a shell counts


class EngineChoice(str, Enum):
    """What runs a network; :data:`rsseg_edge.engines.choose.ENGINES`, whose import would cost every ``--help``."""

    auto = "auto"
    tensorrt = "tensorrt"
    tensorrt_rtx = "tensorrt-rtx"
    onnxruntime_gpu = "onnxruntime-gpu"
    onnxruntime = "onnxruntime"
    openvino = "openvino"


class PrecisionChoice(str, Enum):
    """Arithmetic of a network; :data:`rsseg_edge.variants.PrecisionName`."""

    fp32 = "fp32"
    fp16 = "fp16"
    int8 = "int8"


def run_app(app: typer.Typer, extra: str | None = None) -> NoReturn:
    """Run a typer app and exit: 0 done, 1 it failed, 2 the request cannot be met, 130 interrupted.

    A user's mistake or a broken file is one line on stderr; only a defect of ours shows a traceback.

    Args:
        app: the command.
        extra: of the package, which brings what the command needs beyond an edge install.
    """
    try:
        app()
    except RssegError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if extra is None or missing in ("", "rsseg_edge"):
            raise
        say(f"error: {missing} is not installed: pip install 'rsseg-edge[{extra}]'")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)


def say(line: str) -> None:
    """One line on stderr, where progress and messages go; stdout is for results."""
    print(line, file=sys.stderr, flush=True)


def stop_by_signal(stop: Callable[[], None]) -> None:
    """Let Ctrl-C, or a service that is stopped, end a run in order; a second one does not wait."""

    def handle(signum: int, _: object) -> None:
        signal.signal(signum, signal.default_int_handler)
        stop()

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, handle)
