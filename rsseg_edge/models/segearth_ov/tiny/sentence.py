"""Words to text features through a frozen sentence encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.models.segclip.text_encoder import SentenceEncoder

BATCH = 256


class WordEncoder:
    """Features of words as a bundle's runtime makes them: the mean over templates of unit features, of length 1.

    Args:
        name: package of the sentence encoder.
        templates: sentences with ``{}``.

    Raises:
        UsageError: the package is not installed.
    """

    def __init__(self, name: str, templates: Sequence[str]) -> None:
        self.templates = tuple(templates)
        self._encode = SentenceEncoder(name)

    def sentences(self, sentences: Sequence[str]) -> Tensor:
        """Features of sentences as they are: [N, D], rows of length 1."""
        parts = [self._encode(sentences[i : i + BATCH]) for i in range(0, len(sentences), BATCH)]
        return F.normalize(torch.cat(parts), dim=-1)

    def words(self, words: Sequence[str]) -> Tensor:
        """Features of words and phrases: [N, D], rows of length 1."""
        by_template = [self.sentences([t.format(w.lower()) for w in words]) for t in self.templates]
        return F.normalize(torch.stack(by_template).mean(0), dim=-1)
