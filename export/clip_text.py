"""CLIP's text tower and tokenizer in a bundle: any words, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.export.clip_tokenizer import clip_tokenizer
from rsseg_edge.export.graph import trace
from rsseg_edge.export.open_vocabulary import Floats, TextPart
from rsseg_edge.export.precision import halve
from rsseg_edge.export.request import Say
from rsseg_edge.models.segearth_ov.text import TextEncoder
from rsseg_edge.models.segearth_ov.vit import transformer_block
from rsseg_edge.prompts.tokenizer import Tokenizer, without_padding

TEXT, TOKENIZER = "text.onnx", "tokenizer.json"
MAX_PROMPTS = 4096
MASKED = -1e4
"""Added to what a token may not see: its exponential is 0, and a half holds it."""
PROBES = ("a photo of a road.", "Building, roof & house", "it's 30 cm/px (grey)", "")


class DeployedText(nn.Module):
    """What the text graph computes: tokens int64 [B, L], L up to the context length, to features [B, C] of length 1.

    A token sees those before it alone, so that padding after the longest sentence changes nothing and need not be
    given: a short prompt costs a fifth of a full context.

    Raises:
        UsageError: the text tower is not CLIP's own.
    """

    mask: Tensor

    def __init__(self, clip: Any) -> None:
        super().__init__()
        causal = getattr(clip, "attn_mask", None) is not None
        if (
            not causal
            or getattr(clip, "text_pool_type", "") != "argmax"
            or not isinstance(clip.text_projection, Tensor)
        ):
            raise UsageError(
                f"the text tower of {type(clip).__name__} is not CLIP's own and cannot be exported; take for instance "
                f"ViT-B-16"
            )
        self.clip = clip
        self.register_buffer("mask", MASKED * torch.ones(clip.context_length, clip.context_length).triu(1))

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        x = self.clip.token_embedding(tokens) + self.clip.positional_embedding[:length]
        mask = self.mask[:length, :length]
        for block in self.clip.transformer.resblocks:
            x = transformer_block(block, x, mask=mask)
        last = tokens.argmax(1)  # <end_of_text> has the largest id
        pooled = x.gather(1, last[:, None, None].expand(-1, 1, x.shape[2]))[:, 0]
        return F.normalize(self.clip.ln_final(pooled) @ self.clip.text_projection, dim=-1)


def clip_text_part(encoder: TextEncoder, words: Sequence[str], precision: str, say: Say) -> TextPart:
    """``text.onnx`` and ``tokenizer.json`` of a CLIP, and the features of some words.

    Raises:
        UsageError: the text tower or the tokenizer is not CLIP's own, or a word is too long for it.
        RssegError: the exported tokenizer gives other ids.
    """
    import open_clip

    if not isinstance(encoder.tokenizer, open_clip.SimpleTokenizer):
        raise UsageError(
            f"the tokenizer {type(encoder.tokenizer).__name__} is not CLIP's own and cannot be exported; take for "
            f"instance ViT-B-16"
        )
    length = encoder.clip.context_length
    templates = tuple(template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES)
    serialised = clip_tokenizer(encoder.tokenizer, length)
    tokenizer = Tokenizer(serialised, length)
    prompts = [template.format(word) for word in words for template in templates]
    expected = encoder.tokenize([*PROBES, *prompts]).numpy()
    tokens = tokenizer.encode([*PROBES, *prompts])
    if not np.array_equal(tokens, expected):
        raise RssegError("the exported tokenizer gives other ids than open_clip's; the export is refused")

    say("tracing the text tower")
    graph = to_onnx(encoder.clip)
    keep: list[str] = []
    if precision == "fp16":
        parts = np.array_split(tokens, -(-len(tokens) // 80))
        graph, keep = halve(graph, ({"tokens": without_padding(part)} for part in parts), say)
    onnx.checker.check_model(graph)
    data = graph.SerializeToString()
    engine = OnnxRuntimeEngine(data, name="exported text tower", widen=False)

    with torch.inference_mode():
        trained: Floats = encoder.encode(words).as_subclass(Tensor).numpy()
    rows = tokens[len(PROBES) :].reshape(len(words), len(templates), length)
    means = [engine.infer({"tokens": without_padding(row)}, ("features",))["features"].mean(0) for row in rows]
    deployed = np.stack([mean / np.linalg.norm(mean) for mean in means]).astype(np.float32)
    return TextPart({TEXT: data, TOKENIZER: serialised}, TEXT, length, templates, trained, deployed, tuple(keep))


def to_onnx(clip: Any) -> onnx.ModelProto:
    """The graph of :class:`DeployedText` for any number of sentences of any length."""
    length = clip.context_length
    free = {0: torch.export.Dim("B", min=1, max=MAX_PROMPTS), 1: torch.export.Dim("L", min=2, max=length)}
    tokens = torch.zeros(2, min(5, length), dtype=torch.int64)
    return trace(DeployedText(clip), (tokens,), ["tokens"], ["features"], {"tokens": free})
