"""One image in, one :class:`~rsseg_edge.types.Segmentation` out: the Python API."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rsseg_edge.bundle import Bundle, InputSpec, open_bundle
from rsseg_edge.engines.choose import EngineName, Say, open_engine, runs_on_cpu
from rsseg_edge.engines.graph_file import read_graph
from rsseg_edge.engines.shared import BatchCounts
from rsseg_edge.errors import UsageError
from rsseg_edge.segmenters.open_vocabulary import OpenVocabularySegmenter
from rsseg_edge.segmenters.referring import ReferringSegmenter
from rsseg_edge.segmenters.scene_queries import SceneQueries
from rsseg_edge.segmenters.semantic import SemanticSegmenter
from rsseg_edge.types import ClassTable, Segmentation, UInt8Array
from rsseg_edge.variants import PrecisionName, choose_precision


class Segmenter(Protocol):
    """What :func:`load` gives, whatever the model.

    ``prepare``, ``infer`` and ``finish`` may run on three threads at once, each of them on one.

    Attributes:
        spec: how an image becomes the network's input.
        long_side: images with a longer side are scaled down to it, in pixels.

    Example:
        >>> segmenter = rsseg_edge.load("segclip-tiny")
        >>> result = segmenter(image)  # uint8 [H, W, 3] RGB
        >>> segmenter.classes[result.class_map[0, 0]]
        'vegetation'
    """

    spec: InputSpec
    long_side: int

    @property
    def table(self) -> ClassTable:
        """Names and colours of the classes that the next image is segmented into."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, in the order of the indices of a class map."""

    def prepare(self, image: UInt8Array) -> Any:
        """The network's input for an image, uint8 [H, W, 3].

        Raises:
            UsageError: the image is not uint8 RGB.
        """

    def infer(self, prepared: Any) -> Any:
        """Run the network on what :meth:`prepare` gave.

        Raises:
            RssegError: the engine failed.
        """

    def finish(self, image: UInt8Array, raw: Any) -> Segmentation:
        """Bring what :meth:`infer` gave back to the size of the image."""

    def __call__(self, image: UInt8Array) -> Segmentation:
        """Segment one image.

        Args:
            image: uint8 [H, W, 3] RGB, any size.

        Raises:
            UsageError: the image is of another type or shape.
            RssegError: the engine failed.
        """

    def close(self) -> None:
        """Release the engines."""


@runtime_checkable
class ScoringSegmenter(Protocol):
    """A segmenter whose answers for overlapping windows can be blended before a class is chosen.

    Attributes:
        score_stride: pixels a side that one score stands for.
    """

    score_stride: int

    @property
    def at_once(self) -> int:
        """How many threads may ask for queries and scores at the same time."""

    def serve(self, at_once: int) -> None:
        """Get ready for so many threads at a time, where it can: ``at_once`` says how many may ask now."""

    def queries(self, image: UInt8Array) -> SceneQueries | None:
        """The queries that one window of a scene gives rise to; None where the model has none.

        Args:
            image: as for :meth:`start_scores`.

        Raises:
            RssegError: the engine failed.
        """

    def start_scores(
        self, image: UInt8Array, queries: SceneQueries | None = None
    ) -> Callable[[], npt.NDArray[np.float32]]:
        """Run the network on one window, at its own scale.

        Args:
            image: uint8 [H, W, 3] RGB; sides are multiples of ``spec.multiple_of`` and of ``score_stride``, and those
                of ``spec.height`` and ``spec.width`` where those are set.
            queries: that all windows of the scene share; None takes the window's own.

        Returns:
            What makes scores of the network's answer, to be called once, by any thread, while the network is at the
            next window: float32 [Q, H / score_stride, W / score_stride], such that means of them are scores again.

        Raises:
            RssegError: the engine failed, or the bundle's graph gives no scores.
        """

    def decide(self, scores: npt.NDArray[np.float32]) -> tuple[UInt8Array, UInt8Array]:
        """Class map and confidence, uint8 [h, w] each, of (blended) scores [Q, h, w]."""

    def decide_enlarged(self, scores: npt.NDArray[np.float32]) -> tuple[UInt8Array, UInt8Array] | None:
        """The same, uint8 [4h, 4w] each, of the scores enlarged four times bilinearly.

        None where that is no quicker than enlarging them for :meth:`decide`.
        """

    def probabilities(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Of each class, float32 [classes, h, w], of (blended) scores [Q, h, w]; the largest is the confidence."""


def load(
    name_or_path: str | os.PathLike[str],
    *,
    long_side: int | None = None,
    threads: int | None = None,
    engine: EngineName = "auto",
    precision: PrecisionName | None = None,
    say: Say | None = None,
    shared: BatchCounts | None = None,
) -> Segmenter:
    """Open a shipped bundle by name, or any bundle by its folder.

    Args:
        name_or_path: for instance ``"segclip-tiny"``.
        long_side: images with a longer side are scaled down to it, in pixels; None takes the bundle's own value for
            still images.
        threads: cores that one inference may use; None takes all.
        engine: what runs the network; see :func:`rsseg_edge.engines.choose.open_engine`.
        precision: of the graphs, where the bundle has more than one; None takes the faster one, see
            :func:`rsseg_edge.variants.choose_precision`.
        say: told in one line which engine runs and why, and in one more before a wait such as an engine's build; None
            writes them to the log ``rsseg_edge``.
        shared: lets any number of threads infer at once, and counts: images that wait at the same time go through the
            network as one batch where its graph takes one, in turn where it does not. None is for one thread.

    Returns:
        For a bundle of an open vocabulary, an
        :class:`~rsseg_edge.segmenters.open_vocabulary.OpenVocabularySegmenter`; for one that segments what sentences
        refer to, a :class:`~rsseg_edge.segmenters.referring.ReferringSegmenter`.

    Raises:
        UsageError: no such bundle, a ``long_side`` below 32, or one for a network that sees a single size, an engine
            that this machine does not have, or a precision that the bundle does not have.
        RssegError: the bundle is damaged.
    """
    if long_side is not None and long_side < 32:
        raise UsageError(f"long side {long_side}: an image must keep at least 32 pixels")
    bundle = open_in_precision(name_or_path, precision, engine, say)
    if bundle.manifest.referring is not None:
        if long_side is not None:
            side = bundle.manifest.referring.size
            raise UsageError(f"model {bundle.manifest.name} sees every image at {side} pixels: leave the long side out")
        return ReferringSegmenter(bundle, threads=threads, engine=engine, say=say, shared=shared)
    long_side = long_side or bundle.manifest.input.image_long_side
    if bundle.manifest.task == "open-vocabulary":
        return OpenVocabularySegmenter(
            bundle, long_side=long_side, threads=threads, engine=engine, say=say, shared=shared
        )
    batch = ("image", 0)
    network = open_engine(
        read_graph(bundle), threads=threads, engine=engine, say=say, pad=(batch,), join=batch, shared=shared
    )
    return SemanticSegmenter(network, bundle.manifest.class_table(), bundle.manifest.input, long_side=long_side)


def open_in_precision(
    name_or_path: str | os.PathLike[str],
    precision: PrecisionName | None = None,
    engine: EngineName = "auto",
    say: Say | None = None,
) -> Bundle:
    """The bundle that :func:`load` runs, for the same arguments: one of its precisions, as if it had no other.

    Raises:
        UsageError: no such bundle, or it has no such precision.
        RssegError: its manifest is damaged.
    """
    bundle, why = choose_precision(open_bundle(name_or_path), precision, engine=engine, on_cpu=runs_on_cpu(engine))
    if why:
        (say or logging.getLogger("rsseg_edge").info)(f"precision: {bundle.manifest.precision.name} ({why})")
    return bundle
