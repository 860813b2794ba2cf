"""Sessions, and times of contestants that take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import onnx
import onnxruntime as ort

from rsseg_edge.kernels.registry import ort_library


def take_turns(rounds: int, **contestants: Callable[[], Any]) -> dict[str, float]:
    """Median milliseconds of each, after one run to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, call in contestants.items():
            start = time.perf_counter()
            call()
            if round_:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def session(model: bytes, threads: int, *, ours: bool = True) -> ort.InferenceSession:
    """A model on so many cores, with our kernels or by the bodies."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Contestants take turns: threads that still spin after one's turn would hold the cores that the next one needs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if ours:
        options.register_custom_ops_library(str(ort_library()))
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def matmul(size: int) -> bytes:
    """A model that multiplies square matrices ``a`` and ``b``."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    values = [helper.make_tensor_value_info(name, kind, [size, size]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    serialised: bytes = model.SerializeToString()
    return serialised
