"""The parity gate: a new artefact must agree with its parent on images before it is believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg_edge.bundle import Parity
from rsseg_edge.errors import RssegError

THRESHOLDS = {"fp32": 0.999, "fp16": 0.995}
"""Least share of pixels that get the same class, by precision."""

Result = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]
"""A graph's class map [1, H, W] and logits [1, K, h, w]."""


@dataclass(frozen=True)
class Images:
    """Prepared inputs uint8 [1, H, W, 3] and what they are, for the record."""

    description: str
    arrays: Sequence[npt.NDArray[np.uint8]]


def check_parity(
    parent: Callable[[npt.NDArray[np.uint8]], Result],
    child: Callable[[npt.NDArray[np.uint8]], Result],
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
