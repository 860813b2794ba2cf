"""A measurement in a process of its own: nothing that was measured before lies in its memory."""

from __future__ import annotations

import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

from rsseg_edge.errors import RssegError

P = ParamSpec("P")
T = TypeVar("T")
_ENDING = 3.0  # seconds that an interrupted child may take to tidy up


def in_child(function: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
    """Call a function in a new process and wait for it.

    Args:
        function: of a module, as everything that it takes and gives goes from one process to the other.
        args: for it.
        options: for it.

    Raises:
        RssegError: what the function raises; or the process ended without an answer, killed for its memory for
            instance.
    """
    context = get_context("spawn")  # a fork would share the memory of this one
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, args, options), name="rsseg-bench")
    process.start()
    sender.close()
    try:
        error, result = receiver.recv()
    except EOFError:
        process.join()
        raise RssegError(f"the process that measured {_ended(process.exitcode)} before it was done") from None
    except BaseException:  # Ctrl-C reaches the child, too
        process.join(_ENDING)
        process.terminate()
        raise
    finally:
        receiver.close()
    process.join()
    if error is not None:
        raise error
    value: T = result
    return value


def _answer(sender: Connection, function: Callable[..., Any], args: Any, options: Any) -> None:
    try:
        sender.send((None, function(*args, **options)))
    except RssegError as error:
        sender.send((error, None))
    except KeyboardInterrupt:  # the parent tells of it
        pass
    finally:
        sender.close()


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"failed with exit code {code}"
