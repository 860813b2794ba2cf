"""A bank of words in a bundle, for a model whose text encoder is too large to ship with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from rsseg_edge.export.open_vocabulary import Floats, TextPart
from rsseg_edge.prompts.words import BANK, BANK_FEATURES


def bank_text_part(
    encode: Callable[[Sequence[str]], Floats],
    phrases: Sequence[str],
    words: Sequence[str],
    *,
    encoder: str,
    templates: tuple[str, ...],
) -> TextPart:
    """``bank.json`` and ``bank.f16``, and the features of some words.

    Args:
        encode: words to features float32 [n, C], rows of length 1: the mean over the templates, normalised.
        phrases: what the bank holds; ``words`` that are not among them are added.
        words: of the model's classes.
        encoder: where features of other words come from: a name of the entry points ``rsseg_edge.sentence_encoders``.
        templates: what ``encode`` puts words into, with ``{}``.
    """
    listed = list(dict.fromkeys(phrase.lower() for phrase in (*phrases, *words)))
    halves = np.asarray(encode(listed)).astype("<f2")
    place = {phrase: row for row, phrase in enumerate(listed)}
    rows = halves[[place[word.lower()] for word in words]].astype(np.float32)
    deployed = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    files = {BANK: (json.dumps(listed, ensure_ascii=False) + "\n").encode(), BANK_FEATURES: halves.tobytes()}
    return TextPart(files, encoder, 0, templates, np.asarray(encode(words), np.float32), deployed)
