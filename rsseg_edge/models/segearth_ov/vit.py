"""CLIP's vision transformer with another last block, so that patch tokens mean what they show (METHODS 3.1)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.segearth_ov.config import Variant

Pairs = tuple[tuple[str, str], ...]

# Which of query, key and value are compared; the attention weights are the sum of the softmaxes.
# Without any a token attends to itself.
ATTENTION: dict[Variant, Pairs] = {
    "vanilla": (("q", "k"),),
    "MaskCLIP": (),
    "SCLIP": (("q", "q"), ("k", "k")),
    "ClearCLIP": (("q", "q"),),
    "SegEarth": (("q", "q"), ("k", "k"), ("v", "v")),
}


class DenseViT(nn.Module):
    """An open_clip vision transformer that gives the projected feature of every patch.

    Args:
        visual: the image tower of an open_clip model; used as it is, weights shared.
        variant: the last block's attention, a key of ``ATTENTION``.
        ignore_residual: the last block is its attention alone, with no residual and no MLP.

    Raises:
        UsageError: the image tower is no plain vision transformer.
    """

    def __init__(self, visual: nn.Module, variant: Variant, *, ignore_residual: bool) -> None:
        super().__init__()
        last = getattr(getattr(visual, "transformer", None), "resblocks", [None])[-1]
        plain = hasattr(visual, "conv1") and isinstance(getattr(last, "attn", None), nn.MultiheadAttention)
        if not plain or getattr(visual, "attn_pool", None) is not None:
            raise UsageError(
                f"SegEarth-OV needs a CLIP whose image tower is a plain vision transformer, for instance ViT-B-16; "
                f"this one's is {type(visual).__name__}"
            )
        self.visual: Any = visual
        self.variant = variant
        self.ignore_residual = ignore_residual

    @property
    def patch_size(self) -> int:
        """Side of a patch, in pixels."""
        size: int = self.visual.conv1.kernel_size[0]
        return size

    @property
    def channels(self) -> int:
        """Length of a projected feature."""
        length: int = self.visual.proj.shape[1]
        return length

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the patches and of the class token, neither normalised.

        Args:
            image: normalised as CLIP's, [B, 3, H, W], sides multiples of the patch size.

        Returns:
            Patch tokens [B, h, w, C] and class token [B, C].
        """
        patches = self.visual.conv1(image)
        grid = (patches.shape[2], patches.shape[3])
        tokens = patches.flatten(2).transpose(1, 2)
        class_token = self.visual.class_embedding.expand(image.shape[0], 1, -1)
        position = interpolate_position(self.visual.positional_embedding, self.visual.grid_size, grid)
        x = self.visual.ln_pre(torch.cat((class_token, tokens), 1) + position)
        *blocks, last = self.visual.transformer.resblocks
        for block in blocks:
            x = transformer_block(block, x)
        if self.ignore_residual:
            x = last.ls_1(attend(last.attn, last.ln_1(x), ATTENTION[self.variant]))
        else:
            x = transformer_block(last, x, ATTENTION[self.variant])
        x = self.visual.ln_post(x) @ self.visual.proj
        return x[:, 1:].unflatten(1, grid), x[:, 0]


def transformer_block(block: Any, x: Tensor, pairs: Pairs = ATTENTION["vanilla"], mask: Tensor | None = None) -> Tensor:
    """One of open_clip's residual blocks, tokens [B, N, D] to the same; see :func:`attend`."""
    x = x + block.ls_1(attend(block.attn, block.ln_1(x), pairs, mask))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def attend(attention: nn.MultiheadAttention, x: Tensor, pairs: Pairs, mask: Tensor | None = None) -> Tensor:
    """Self-attention written as matrix products: its ONNX graph has a third of the nodes of ``attention``'s own.

    Args:
        attention: its weights.
        x: [B, N, D].
        pairs: which of query, key and value are compared; none: each token attends to itself.
        mask: [N, N], added to what is compared.
    """
    projected = F.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
    heads = [t.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for t in projected]
    operands = dict(zip("qkv", heads, strict=True))
    mixed = operands["v"]
    if pairs:
        weights = []
        for a, b in pairs:
            similarity = operands[a] * attention.head_dim**-0.5 @ operands[b].transpose(-2, -1)
            weights.append((similarity if mask is None else similarity + mask).softmax(-1))
        mixed = sum(weights[1:], weights[0]) @ mixed
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))


def interpolate_position(position: Tensor, base: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Position embedding [1 + N, D] of the grid ``base`` for another grid: bicubic, the class token's row kept.

    The scale is (grid + 0.1) / base, as in the published code (and DINO's, against rounding), not grid / base.
    """
    if grid == base:
        return position
    patches = position[1:].T.reshape(1, -1, *base)
    scale = [(size + 0.1) / of for size, of in zip(grid, base, strict=True)]
    resized = F.interpolate(patches, scale_factor=scale, mode="bicubic", align_corners=False)
    return torch.cat((position[:1], resized.flatten(2)[0].T))
