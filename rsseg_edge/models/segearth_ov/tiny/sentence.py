"""Words to text features through a frozen sentence encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.models.segclip.text_encoder import sentence_encoder

BATCH = 256


class WordEncoder:
    """Features of words: every template's prompt is encoded, the common mean taken off, and the templates averaged.

    A sentence encoder's features all share a large part, the more so within one template: "an aerial photo of a
    ship" and "... of a meadow" have a cosine near 0.7. Without the mean of many words, opposites come out below zero,
    and a word that was never trained lies nearest its synonyms by a wide margin.

    Args:
        name: package of the encoder.
        templates: prompts with ``{}``.
    """

    def __init__(self, name: str, templates: Sequence[str]) -> None:
        self.templates = tuple(templates)
        self._encode = sentence_encoder(name)

    @torch.no_grad()
    def prompts(self, prompts: Sequence[str]) -> Tensor:
        """Features of whole sentences, without the mean taken off: [N, D], rows of length 1."""
        parts = [self._encode(list(prompts[i : i + BATCH])) for i in range(0, len(prompts), BATCH)]
        return F.normalize(torch.cat(parts), dim=-1)

    def mean(self, words: Sequence[str]) -> Tensor:
        """What the prompts of many words have in common: [D]."""
        return torch.stack([self.prompts([t.format(w) for w in words]).mean(0) for t in self.templates]).mean(0)

    def words(self, words: Sequence[str], mean: Tensor) -> Tensor:
        """Features of words, [N, D], rows of length 1.

        Args:
            words: words or phrases.
            mean: [D], see :meth:`mean`; the network that the features are for carries its own.
        """
        by_template = [self.sentences([t.format(w) for w in words], mean) for t in self.templates]
        return F.normalize(torch.stack(by_template).mean(0), dim=-1)

    def sentences(self, sentences: Sequence[str], mean: Tensor) -> Tensor:
        """Features of sentences as they are, the mean taken off: [N, D], rows of length 1."""
        return F.normalize(self.prompts(sentences) - mean, dim=-1)
