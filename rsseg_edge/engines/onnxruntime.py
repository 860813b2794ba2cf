"""ONNX Runtime on a CPU: the engine that is always there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from rsseg_edge.errors import RssegError


class OnnxRuntimeEngine:
    """An ONNX graph on the CPU.

    Args:
        model: the serialised ONNX model.
        threads: cores that one inference may use; None takes all of them.
        name: what error messages call the model.

    Raises:
        RssegError: ONNX Runtime does not load the model.
    """

    def __init__(self, model: bytes, *, threads: int | None = None, name: str = "model") -> None:
        import onnxruntime as ort  # 0.1 s: not at import of this module

        options = ort.SessionOptions()
        options.log_severity_level = 3  # errors come back as exceptions; warnings about our graph are not the user's
        # By default threads that wait for work burn their core meanwhile: 22 of 74 core ms a frame, which the codecs
        # beside them need, and a battery feels.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        self._name = name
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises its own classes, which derive from Exception directly
            raise RssegError(f"{name}: ONNX Runtime {ort.__version__} cannot load it: {_first_line(error)}") from None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return tuple(o.name for o in self._session.get_outputs())

    def infer(
        self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Run once. See :class:`rsseg_edge.engines.base.Engine`."""
        names = tuple(outputs) if outputs is not None else self.outputs
        try:
            results = self._session.run(list(names), dict(inputs))
        except Exception as error:
            raise RssegError(f"{self._name}: inference failed: {_first_line(error)}") from None
        return dict(zip(names, results, strict=True))

    def close(self) -> None:
        """Drop the session; ONNX Runtime frees its memory with it."""
        del self._session


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
