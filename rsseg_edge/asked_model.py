"""A model that was opened and told what to look for: classes, words or sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsseg_edge.engines.choose import EngineName, Say
from rsseg_edge.engines.shared import BatchCounts
from rsseg_edge.errors import UsageError
from rsseg_edge.segmenter import Segmenter, load
from rsseg_edge.segmenters.open_vocabulary import Change, OpenVocabularySegmenter
from rsseg_edge.segmenters.referring import ReferringSegmenter
from rsseg_edge.variants import PrecisionName


@dataclass(frozen=True)
class Vocabulary:
    """The classes that an open-vocabulary model segments into.

    Attributes:
        classes: each a string of comma-separated synonyms.
        background: synonyms of what is none of them.
        threshold: least probability of a class, 0..1; None takes the bundle's.
    """

    classes: Sequence[str]
    background: str | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Question:
    """What a model is asked.

    Attributes:
        model: a shipped bundle's name or a bundle's folder.
        vocabulary: of an open-vocabulary model; None takes the bundle's own.
        fast: see :class:`rsseg_edge.segmenters.open_vocabulary.OpenVocabularySegmenter`.
        sentences: what a referring model segments.
        classes_only: the classes that are drawn and counted; None takes all.
    """

    model: str
    vocabulary: Vocabulary | None = None
    fast: bool = False
    sentences: Sequence[str] = ()
    classes_only: Sequence[str] | None = None


@dataclass(frozen=True)
class AskedModel:
    """An open bundle.

    Attributes:
        segmenter: ready.
        notes: a line for each sentence that was cut.
        change: what it took to set the vocabulary; None where none was asked for.
    """

    segmenter: Segmenter
    notes: tuple[str, ...]
    change: Change | None


def open_model(
    question: Question,
    *,
    long_side: int | None = None,
    threads: int | None = None,
    engine: EngineName = "auto",
    precision: PrecisionName | None = None,
    say: Say | None = None,
    shared: BatchCounts | None = None,
) -> AskedModel:
    """Open the bundle that a question names and ask it.

    Args:
        question: which model, and what it looks for.
        long_side: this and what follows are given to :func:`rsseg_edge.segmenter.load` as they are.
        threads: cores of one inference.
        engine: what runs the network.
        precision: of the network.
        say: told which engine runs and why.
        shared: counts what goes through the network together, where several threads infer.

    Raises:
        UsageError: there is no such bundle, engine or precision; the model takes no sentences or no classes, or needs
            some; or ``classes_only`` names a class that it does not have.
        RssegError: the bundle is damaged.
    """
    segmenter = load(
        question.model, long_side=long_side, threads=threads, engine=engine, precision=precision, say=say, shared=shared
    )
    notes = _refer(segmenter, question)
    change = set_vocabulary(segmenter, question)
    for name in question.classes_only or ():
        segmenter.table.index(name)
    return AskedModel(segmenter, notes, change)


def _refer(segmenter: Segmenter, question: Question) -> tuple[str, ...]:
    """Ask for the sentences; what was cut of them, a line each."""
    if isinstance(segmenter, ReferringSegmenter):
        return segmenter.refer(question.sentences)
    if question.sentences:
        raise UsageError(f"model {question.model} reads no sentences: --refer is for referring models such as cris")
    return ()


def set_vocabulary(segmenter: Segmenter, question: Question) -> Change | None:
    """Set the classes that a question names; what that took.

    Raises:
        UsageError: it names some for a model that has its own, or none where the bundle has none either.
    """
    vocabulary = question.vocabulary
    if not isinstance(segmenter, OpenVocabularySegmenter):
        if vocabulary is not None or question.fast:
            raise UsageError(
                f"model {question.model} has classes of its own ({', '.join(segmenter.classes)}): "
                f"--classes, --background, --threshold and --fast are for open-vocabulary models such as segearth-ov"
            )
        return None
    segmenter.fast = question.fast
    if vocabulary is None:
        segmenter.table  # noqa: B018 (raises where there are no classes)
        return None
    return segmenter.set_classes(vocabulary.classes, background=vocabulary.background, threshold=vocabulary.threshold)
