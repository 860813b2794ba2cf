"""CLIP's text transformer: features of the words and one state of the sentence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.cris.config import CRISConfig, WordsConfig

PADDING = 0
"""Token id behind the end of a sentence."""


class TextEncoder(nn.Module):
    """Token ids int64 [B, L], L up to ``word_length``, to word features [B, L, C] and sentence state [B, D].

    Words are features before CLIP's projection; the state is the end token's after it. The end token has the largest
    id of all.

    Raises:
        UsageError: L is more than ``word_length``.
    """

    def __init__(self, config: CRISConfig) -> None:
        super().__init__()
        from open_clip.transformer import QuickGELU, TextTransformer

        text = config.clip.text
        self.word_length = config.word_length
        self.net = TextTransformer(
            context_length=text.context_length,
            vocab_size=text.vocab_size,
            width=text.width,
            heads=text.heads,
            layers=text.layers,
            output_dim=config.clip.embed_dim,
            act_layer=QuickGELU,
        )
        if text.words:
            self.net.token_embedding = WordEmbedding(text.vocab_size, text.words, text.width)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        length = words.shape[1]
        if length > self.word_length:
            raise UsageError(
                f"a sentence of {length} tokens: the model reads {self.word_length}, start and end included"
            )
        # Not TextTransformer.forward: it takes only sentences of the full context length.
        x = self.net.token_embedding(words) + self.net.positional_embedding[:length]
        x = self.net.ln_final(self.net.transformer(x, attn_mask=self.net.attn_mask[:length, :length]))
        end = x[torch.arange(len(words), device=words.device), words.argmax(1)]
        return x, end @ self.net.text_projection


class WordEmbedding(nn.Module):
    """Token ids int64 [B, L] to [B, L, C]: meanings of the words, which stay as they are, and a linear map of them.

    ``meaning`` [vocabulary, dim] is zero until :func:`rsseg_edge.models.cris.words.load_meanings` or a checkpoint
    fills it.
    """

    meaning: Tensor

    def __init__(self, vocab_size: int, config: WordsConfig, width: int) -> None:
        super().__init__()
        self.register_buffer("meaning", torch.zeros(vocab_size, config.dim))
        self.dropout = nn.Dropout(config.dropout)
        self.project = nn.Linear(config.dim, width)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.project(self.dropout(nn.functional.embedding(tokens, self.meaning)))
        return out
