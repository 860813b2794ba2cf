"""A data set's classes as the vocabulary of a model that segments whatever is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeGuard

from rsseg_edge.datasets.table import DatasetSpec
from rsseg_edge.errors import UsageError
from rsseg_edge.evaluation.match import ClassMatch, match_classes
from rsseg_edge.types import Segmentation, UInt8Array

BACKGROUND = "background"


class Subject(Protocol):
    """What is measured; see :class:`rsseg_edge.segmenter.Segmenter`."""

    long_side: int

    @property
    def classes(self) -> tuple[str, ...]: ...

    def __call__(self, image: UInt8Array) -> Segmentation: ...

    def close(self) -> None: ...


class OpenVocabulary(Subject, Protocol):
    """A segmenter whose classes are words. After :meth:`set_classes` the background is the last of its classes."""

    def set_classes(
        self, classes: Sequence[str], *, background: str | None = None, threshold: float | None = None
    ) -> Any: ...


def is_open(subject: Subject) -> TypeGuard[OpenVocabulary]:
    """Whether a segmenter takes other classes."""
    return hasattr(subject, "set_classes")


def match_subject(
    subject: Subject, spec: DatasetSpec, pairs: Sequence[str] = (), classes: Sequence[str] | None = None
) -> ClassMatch:
    """Match the classes of a data set with a segmenter's, which is asked for them where its vocabulary is open.

    Args:
        subject: to be measured.
        spec: of the data set.
        pairs: as :func:`rsseg_edge.evaluation.match.match_classes` takes them.
        classes: what an open vocabulary is asked for in place of the data's words, synonyms by commas; in the order of
            the data's classes where there are as many and no pairs.

    Raises:
        UsageError: a class has no counterpart, the segmenter refuses a word, or has classes of its own.
    """
    if classes and not is_open(subject):
        raise UsageError("the model has classes of its own: --classes is for a model of an open vocabulary")
    if is_open(subject) and classes:
        subject.set_classes(classes)
        names = spec.class_table().names
        if not pairs and len(subject.classes) == len(names):
            pairs = [f"{ours}={theirs}" for ours, theirs in zip(names, subject.classes, strict=True)]
    elif is_open(subject):
        given = {pair.partition("=")[0].strip() for pair in pairs}
        pairs = [*pairs, *(pair for pair in ask_for(subject, spec) if pair.partition("=")[0] not in given)]
    return match_classes(spec.class_table(), subject.classes, pairs)


def ask_for(segmenter: OpenVocabulary, spec: DatasetSpec) -> list[str]:
    """Let a segmenter tell the classes of a data set apart, as its benchmark has them where there is one.

    Without a benchmark a class of the name "background" is the background, and no pixel becomes it for its probability.

    Returns:
        ``"DATA=MODEL"`` for each class of the data, as :func:`rsseg_edge.evaluation.match.match_classes` takes them:
        classes that are asked for by the same words are one.

    Raises:
        UsageError: the segmenter refuses the words.
    """
    benchmark = spec.benchmark
    rest = benchmark.background if benchmark else BACKGROUND
    words = {c.name: ",".join(c.words or (c.name,)) for c in spec.classes}
    background = words.get(rest)
    asked = list(dict.fromkeys(text for name, text in words.items() if name != rest))
    segmenter.set_classes(asked, background=background, threshold=benchmark.threshold if benchmark else 0.0)
    places = {text: place for place, text in enumerate(asked)}
    return [f"{name}={segmenter.classes[-1 if name == rest else places[text]]}" for name, text in words.items()]
