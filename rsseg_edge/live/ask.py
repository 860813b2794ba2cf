"""What the page's box can ask of a model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rsseg_edge.errors import UsageError
from rsseg_edge.live.board import Board
from rsseg_edge.monitor import StreamMonitor
from rsseg_edge.prompts.vocabulary import split_classes
from rsseg_edge.segmenter import Segmenter
from rsseg_edge.segmenters.open_vocabulary import OpenVocabularySegmenter
from rsseg_edge.segmenters.referring import ReferringSegmenter


def board_of(segmenter: Segmenter, stream: StreamMonitor | None, alpha: float) -> Board:
    """What the page shows of a stream, with a box for what the model can be asked.

    Args:
        segmenter: of one stream or of all.
        stream: what is known of a live input.
        alpha: weight of the classes' colours, 0..1.
    """
    if isinstance(segmenter, OpenVocabularySegmenter):
        return Board("classes", partial(_ask_classes, segmenter), stream, alpha)
    if isinstance(segmenter, ReferringSegmenter):
        return Board("sentences", partial(_ask_sentences, segmenter), stream, alpha)
    return Board(None, _ask_nothing, stream, alpha)


def _ask_nothing(text: str) -> Sequence[str]:
    raise UsageError("this model has classes of its own")


def _ask_classes(segmenter: OpenVocabularySegmenter, text: str) -> Sequence[str]:
    change = segmenter.set_classes(split_classes(text))
    return [f"{change.encoded} new words encoded in {change.seconds:.1f} s"] if change.encoded else []


def _ask_sentences(segmenter: ReferringSegmenter, text: str) -> Sequence[str]:
    return segmenter.refer([sentence.strip() for sentence in text.split(";") if sentence.strip()])
