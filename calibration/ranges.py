"""Ranges of a graph's tensors over images: streamed, in the memory of one inference, resumed after an interruption."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from rsseg_edge.calibration.exposed import PARTS, PHASE, expose, expose_sizes, part
from rsseg_edge.calibration.histogram import BINS, Histogram
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import RssegError

Inputs = Mapping[str, npt.NDArray[Any]]
"""A graph's inputs by name."""

SAMPLED = 32768
"""About so many values of a tensor are counted an image; its extremes are those of all values."""

CHUNK = 8
"""Images between two records of what is done."""

STATE, COUNTS = "ranges.json", "ranges.npz"


class Samples(Protocol):
    """Inputs that are made when they are asked for: images on disk, and not in memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Inputs: ...


@dataclass(frozen=True)
class Record:
    """Where it is written down what was measured, for another run to go on from.

    Attributes:
        folder: made where it is not there.
        key: of graph and samples: what was measured of others is not taken up.
    """

    folder: Path
    key: str


Progress = Callable[[int, int], None]
"""Told how many samples of how many are done."""


def float_tensors(model: onnx.ModelProto) -> list[str]:
    """Every float32 tensor that a node of the graph makes, as far as shape inference knows its type."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    made = {name for node in model.graph.node for name in node.output}  # tidying leaves names of what it dropped
    known = [*inferred.value_info, *inferred.output]
    names = [v.name for v in known if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT and v.name in made]
    return list(dict.fromkeys(names))


def measure_ranges(
    model: onnx.ModelProto,
    names: Sequence[str],
    samples: Samples,
    *,
    record: Record | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> dict[str, Histogram]:
    """A histogram of each tensor.

    Args:
        model: in float32.
        names: of float32 tensors of the graph.
        samples: inputs to run it on.
        record: what was measured is kept there after every :data:`CHUNK` samples, and taken up from there.
        progress: told after each sample.
        threads: cores for the network; None takes all.

    Raises:
        RssegError: the graph does not run, or the record cannot be written.
    """
    found = {name: Histogram() for name in names}
    if not names or not len(samples):
        return found
    done = _take_up(record, found) if record else 0
    if progress:
        progress(done, len(samples))
    if done >= len(samples):
        return found
    sizes = OnnxRuntimeEngine(
        expose_sizes(model, names).SerializeToString(), name="range measurement", threads=threads
    ).infer(samples[0])
    counts = {name: int(sizes[part(name, "size")]) for name in names}
    strides = {name: prime_from(count // SAMPLED) for name, count in counts.items() if count}
    engine = OnnxRuntimeEngine(expose(model, strides).SerializeToString(), name="range measurement", threads=threads)
    for index in range(done, len(samples)):
        told = engine.infer({**samples[index], PHASE: np.array([index], np.int64)})
        for name in strides:
            low, high, mean, sample = (told[part(name, what)] for what in PARTS)
            found[name].add(float(low), float(high), float(mean), sample)
        if record and ((index + 1) % CHUNK == 0 or index + 1 == len(samples)):
            _write_down(record, found, index + 1)
        if progress:
            progress(index + 1, len(samples))
    engine.close()
    return found


def digest(parts: Iterator[bytes]) -> str:
    """SHA-256 in hex over several pieces."""
    whole = hashlib.sha256()
    for piece in parts:
        whole.update(hashlib.sha256(piece).digest())
    return whole.hexdigest()


def _take_up(record: Record, found: dict[str, Histogram]) -> int:
    """Fill in what an earlier run measured; how many samples that was. A damaged or foreign record counts as none."""
    try:
        state = json.loads((record.folder / STATE).read_text(encoding="utf-8"))
        if state["key"] != record.key or state["names"] != list(found):
            return 0
        with np.load(record.folder / COUNTS, allow_pickle=False) as arrays:
            counts, scalars = arrays["counts"], arrays["scalars"]
            if int(arrays["done"]) != state["done"] or counts.shape != (len(found), BINS):
                return 0
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return 0
    for histogram, row, (low, high, finite, reach, zeros) in zip(found.values(), counts, scalars, strict=True):
        histogram.low, histogram.high, histogram.finite = float(low), float(high), bool(finite)
        histogram.reach, histogram.zeros, histogram.counts = float(reach), int(zeros), row.astype(np.int64)
    return int(state["done"])


def _write_down(record: Record, found: dict[str, Histogram], done: int) -> None:
    scalars = np.array([(h.low, h.high, h.finite, h.reach, h.zeros) for h in found.values()], np.float64)
    counts = np.stack([h.counts for h in found.values()])
    state = json.dumps({"key": record.key, "names": list(found), "done": done})
    try:
        record.folder.mkdir(parents=True, exist_ok=True)
        part_file = record.folder / f".{COUNTS}"
        with open(part_file, "wb") as file:
            np.savez(file, counts=counts, scalars=scalars, done=np.array(done))
        os.replace(part_file, record.folder / COUNTS)
        part_state = record.folder / f".{STATE}"
        part_state.write_text(state, encoding="utf-8")
        os.replace(part_state, record.folder / STATE)
    except OSError as error:
        raise RssegError(f"cannot write {record.folder}: {error.strerror}; calibration stops here") from None


def prime_from(least: int) -> int:
    """The first prime from ``least`` on: a stride that shares no factor with a row would miss none of its columns."""
    number = max(least, 1)
    while number > 1 and any(number % factor == 0 for factor in range(2, int(number**0.5) + 1)):
        number += 1
    return number
