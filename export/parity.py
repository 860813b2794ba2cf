"""The parity gate: a new artefact must agree with its parent on images before it is believed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from rsseg_edge.engines.agreement import THRESHOLDS
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import RssegError
from rsseg_edge.export.request import Say
from rsseg_edge.kernels.registry import calls_operators, ort_library
from rsseg_edge.precision import Parity

Result = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]
"""A graph's class map [1, H, W] and logits [1, K, h, w], whose exponentials are the classes' shares."""

Run = Callable[[npt.NDArray[np.uint8]], Result]
"""What a network or graph makes of one input."""

Read = Callable[[OnnxRuntimeEngine, npt.NDArray[np.uint8]], Result]
"""Runs a graph on one input."""


@dataclass(frozen=True)
class Images:
    """Prepared inputs uint8 [1, H, W, 3] and what they are, for the record."""

    description: str
    arrays: Sequence[npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Gate:
    """The parity gate of one export.

    Attributes:
        images: what parent and child are compared on.
        read: how a graph is run.
        say: told what is found.
    """

    images: Images
    read: Read
    say: Say

    def run(self, graph: onnx.ModelProto, *, kernels: bool = True) -> Run:
        """A graph in ONNX Runtime; ``kernels`` is False: by the operators' bodies."""
        engine = OnnxRuntimeEngine(graph.SerializeToString(), name="exported graph", kernels=kernels, widen=False)
        return lambda image: self.read(engine, image)

    def check(self, parent: Run, graph: onnx.ModelProto, precision: str, reference: str) -> Parity:
        """Compare by every way that a user's machine may run the graph's operators; the worst of them is given.

        Raises:
            RssegError: see :func:`check_parity`.
        """
        ways = {"standard operators": False}
        if ort_library() is not None and calls_operators(graph.SerializeToString()):
            ways["compiled kernels"] = True
        found = []
        for way, kernels in ways.items():
            runtime = f"the {precision} graph, ONNX Runtime {importlib.metadata.version('onnxruntime')} on a CPU, {way}"
            child = self.run(graph, kernels=kernels)
            parity = check_parity(parent, child, self.images, precision, reference=reference, runtime=runtime)
            self.say(
                f"parity of {parity.runtime}: {100 * parity.agreement:.3f} % of pixels get the class that "
                f"{parity.reference} gives (at least {100 * parity.threshold:.1f} %), shares differ by at most "
                f"{parity.max_score_difference:.2g}"
            )
            found.append(parity)
        return min(found, key=lambda parity: parity.agreement)


def check_parity(
    parent: Run,
    child: Run,
    images: Images,
    precision: str,
    *,
    reference: str,
    runtime: str,
) -> Parity:
    """Compare two graphs over images.

    Raises:
        RssegError: fewer pixels agree than ``THRESHOLDS`` asks for, or the child's logits are not finite.
    """
    same = total = 0
    difference = 0.0
    for image in images.arrays:
        (expected, expected_logits), (found, found_logits) = parent(image), child(image)
        if not np.isfinite(found_logits).all():
            raise RssegError(f"parity gate: {runtime} gives logits that are not finite; the export is refused")
        same += int(np.count_nonzero(expected == found))
        total += expected.size
        difference = max(difference, float(np.abs(np.exp(expected_logits) - np.exp(found_logits)).max()))
    parity = Parity(
        reference=reference,
        runtime=runtime,
        data=images.description,
        images=len(images.arrays),
        agreement=same / total,
        threshold=THRESHOLDS[precision],
        max_score_difference=difference,
    )
    if parity.agreement < parity.threshold:
        raise RssegError(
            f"parity gate: {runtime} agrees with {reference} on {100 * parity.agreement:.3f} % of pixels "
            f"({parity.images} images), less than {100 * parity.threshold:.1f} %; the export is refused"
        )
    return parity
