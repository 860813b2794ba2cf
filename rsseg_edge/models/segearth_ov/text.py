"""Text features of an open vocabulary (METHODS 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.prompts.vocabulary import parse_classes


class TextFeatures(Tensor):
    """Text features [Q, D], rows of length 1, that know the class of each row.

    What operations make of them is a plain tensor, without that knowledge.

    Attributes:
        class_index: int64 [Q], from 0, without gaps.
    """

    class_index: Tensor
    # What nn.Parameter does, for the same reason.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]


class TextEncoder(nn.Module):
    """The text tower of an open_clip model and its tokenizer.

    Args:
        clip: an open_clip model; its image tower is not used and may be None.
        tokenizer: open_clip's for it.
    """

    def __init__(self, clip: nn.Module, tokenizer: Any) -> None:
        super().__init__()
        self.clip: Any = clip
        self.tokenizer = tokenizer

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids int64 [N, L] to text features [N, D], rows of length 1."""
        return self.clip.encode_text(tokens, normalize=True)

    def tokenize(self, prompts: list[str]) -> Tensor:
        """Token ids int64 [N, L], L the context length.

        Raises:
            UsageError: a prompt is longer than the context; open_clip's tokenizers would cut it.
        """
        length = self.clip.context_length
        tokens = self.tokenizer([*prompts, ""], context_length=length + 1)
        padding = tokens[-1, length]
        too_long = (tokens[:-1, length] != padding).nonzero()
        if len(too_long):
            raise UsageError(f"prompt longer than the text encoder's {length} tokens: '{prompts[too_long[0]][:60]}...'")
        return tokens[:-1, :length]

    def encode(self, names: Sequence[str]) -> TextFeatures:
        """Features of every synonym: the mean over the 80 ImageNet templates of OpenAI, of length 1.

        Args:
            names: one string of comma-separated synonyms a class.

        Raises:
            UsageError: see :func:`parse_classes` and :meth:`tokenize`.
        """
        import open_clip

        vocabulary = parse_classes(names)
        features = open_clip.build_zero_shot_classifier(
            self.clip,
            self.tokenize,
            vocabulary.words,
            open_clip.OPENAI_IMAGENET_TEMPLATES,
            num_classes_per_batch=1,
            device=next(self.clip.parameters()).device,
        )
        text = features.T.contiguous().as_subclass(TextFeatures)
        text.class_index = torch.tensor(vocabulary.class_index, device=features.device)
        return text
