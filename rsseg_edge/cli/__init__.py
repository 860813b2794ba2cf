"""The command line: parsing and printing, no logic. One place turns errors into a line and an exit code."""

from __future__ import annotations

import sys
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


def run_app(app: typer.Typer) -> NoReturn:
    """Run a typer app and exit: 0 done, 1 it failed, 2 the request cannot be met, 130 interrupted.

    A user's mistake or a broken file is one line on stderr; only a defect of ours shows a traceback.
    """
    try:
        app()
    except RssegError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)


def say(line: str) -> None:
    """One line on stderr, where progress and messages go; stdout is for results."""
    print(line, file=sys.stderr, flush=True)
