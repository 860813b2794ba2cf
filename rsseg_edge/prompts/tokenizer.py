"""Sentences to token ids, by a ``tokenizer.json`` of the tokenizers package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import RssegError, UsageError


class Tokenizer:
    """A bundle's tokenizer.

    Args:
        data: the bytes of ``tokenizer.json``.
        length: tokens of a row; shorter sentences are padded with 0.
        name: what error messages call it.

    Raises:
        RssegError: the file is no tokenizer.
    """

    def __init__(self, data: bytes, length: int, *, name: str = "tokenizer.json") -> None:
        from tokenizers import Tokenizer as Native

        try:
            self._native = Native.from_str(data.decode("utf-8"))
        except Exception as error:  # the package raises Exception itself
            raise RssegError(f"{name} is no tokenizer: {str(error).splitlines()[0]}") from None
        self._native.no_truncation()
        self._native.no_padding()
        self.length = length

    def ids(self, sentence: str) -> list[int]:
        """Ids of all the tokens of a sentence, with what stands at its begin and end."""
        return list(self._native.encode(sentence).ids)

    def encode_cut(self, sentence: str) -> tuple[npt.NDArray[np.int64], str]:
        """Token ids, int64 [length], and as much of the sentence as they hold.

        Of one that is too long the words at its end are left out; what stands at the end of every sentence stays.
        """
        found = self._native.encode(sentence)
        ids, row = list(found.ids), np.zeros(self.length, np.int64)
        if len(ids) <= self.length:
            row[: len(ids)] = ids
            return row, sentence
        row[:-1], row[-1] = ids[: self.length - 1], ids[-1]
        return row, sentence[: max(end for _, end in found.offsets[: self.length - 1])]

    def encode(self, sentences: Sequence[str]) -> npt.NDArray[np.int64]:
        """Token ids, int64 [len(sentences), length].

        Raises:
            UsageError: a sentence has more tokens; the message names it.
        """
        rows = np.zeros((len(sentences), self.length), np.int64)
        for row, sentence in zip(rows, sentences, strict=True):
            ids = self.ids(sentence)
            if len(ids) > self.length:
                raise UsageError(
                    f"'{sentence[:60]}' is too long: {len(ids)} tokens of at most {self.length} that the network takes"
                )
            row[: len(ids)] = ids
        return rows


def without_padding(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Token ids [B, L] without the columns after the longest sentence.

    A text encoder whose tokens see those before them alone gives the same features for them, at a fraction of the work.
    """
    used = np.flatnonzero(tokens.any(0))
    return tokens[:, : int(used[-1]) + 1 if len(used) else 1]
