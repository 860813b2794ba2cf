"""Sentences to token ids while a network is trained."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from rsseg_edge.models.cris.config import CRISConfig
from rsseg_edge.models.cris.words import read_words, word_tokenizer
from rsseg_edge.prompts.tokenizer import Tokenizer


class Encodes(Protocol):
    """Turns sentences into ids."""

    def encode(self, sentences: list[str]) -> npt.NDArray[np.int64]:
        """Token ids, int64 [len(sentences), word_length], 0 behind the end; what is too long is cut before its end."""


def tokenizer_of(config: CRISConfig) -> Encodes:
    """The tokenizer of a configuration: of its own words, or CLIP's."""
    return _Words(config) if config.clip.text.words else _CLIP(config.word_length)


class _Words:
    def __init__(self, config: CRISConfig) -> None:
        self._tokenizer = Tokenizer(word_tokenizer(read_words(config.name)), config.word_length)

    def encode(self, sentences: list[str]) -> npt.NDArray[np.int64]:
        length = self._tokenizer.length
        rows = np.zeros((len(sentences), length), np.int64)
        for row, sentence in zip(rows, sentences, strict=True):
            ids = self._tokenizer.ids(sentence)
            kept = ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]
            row[: len(kept)] = kept
        return rows


class _CLIP:
    def __init__(self, length: int) -> None:
        from open_clip import SimpleTokenizer

        self._tokenizer, self._length = SimpleTokenizer(), length

    def encode(self, sentences: list[str]) -> npt.NDArray[np.int64]:
        return np.asarray(self._tokenizer(sentences, self._length).numpy(), np.int64)
