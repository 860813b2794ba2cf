"""The authors' checkpoints: their settings to our configuration, their names of tensors to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.cris.config import CLIPConfig, CRISConfig, DecoderConfig, NeckConfig, TextConfig, VisionConfig
from rsseg_edge.models.cris.state_dict import load_renamed

_RENAMED = (
    (r"module\.", ""),  # of distributed training
    (r"backbone\.visual\.", "vision.net."),
    (r"backbone\.logit_scale$", ""),  # of CLIP's contrastive loss
    (r"backbone\.", "text.net."),
    (r"neck\.txt_proj\.", "fusion.neck.state."),
    (r"neck\.norm_layer\.", "fusion.neck.gated."),
    (r"neck\.f1_v_proj\.", "fusion.neck.project5."),
    (r"neck\.f2_v_proj\.", "fusion.neck.project4."),
    (r"neck\.f3_v_proj\.", "fusion.neck.project3."),
    (r"neck\.f2_cat\.", "fusion.neck.merge4."),
    (r"neck\.f3_cat\.", "fusion.neck.merge3."),
    (r"neck\.f4_proj([345])\.", r"fusion.neck.refine\1."),
    (r"neck\.aggr\.", "fusion.neck.aggregate."),
    (r"neck\.coordconv\.0\.conv1\.", "fusion.neck.locate."),
    (r"neck\.coordconv\.1\.", "fusion.neck.smooth."),
    (r"decoder\.layers\.(\d+)\.self_attn\.", r"fusion.decoder.layers.\1.self_attention."),
    (r"decoder\.layers\.(\d+)\.multihead_attn\.", r"fusion.decoder.layers.\1.cross_attention."),
    (r"decoder\.layers\.(\d+)\.self_attn_norm\.", r"fusion.decoder.layers.\1.self_out."),
    (r"decoder\.layers\.(\d+)\.cross_attn_norm\.", r"fusion.decoder.layers.\1.cross_out."),
    (r"decoder\.layers\.(\d+)\.norm1\.", r"fusion.decoder.layers.\1.self_norm."),
    (r"decoder\.layers\.(\d+)\.norm2\.", r"fusion.decoder.layers.\1.cross_norm."),
    (r"decoder\.layers\.(\d+)\.norm3\.", r"fusion.decoder.layers.\1.feedforward_norm."),
    (r"decoder\.layers\.(\d+)\.ffn\.", r"fusion.decoder.layers.\1.feedforward."),
    (r"decoder\.norm\.", "fusion.decoder.norm."),
    (r"proj\.vis\.4\.", "fusion.projector.pixel."),
    (r"proj\.vis\.", "fusion.projector.upsample."),
    (r"proj\.txt\.", "fusion.projector.state."),
)


def official_config(cfg: Mapping[str, Any], clip: Mapping[str, Any]) -> CRISConfig:
    """The configuration that the authors' settings describe; see :meth:`CRIS.from_official`.

    Raises:
        UsageError: a setting is missing or contradicts another.
    """
    try:
        vision = VisionConfig(
            layers=clip["vision_layers"], width=clip["vision_width"], image_size=clip["image_resolution"]
        )
        config = CRISConfig(
            name="cris-official",
            word_length=cfg["word_len"],
            clip=CLIPConfig(
                embed_dim=clip["embed_dim"],
                vision=vision,
                text=TextConfig(
                    width=clip["transformer_width"],
                    heads=clip["transformer_heads"],
                    layers=clip["transformer_layers"],
                    context_length=clip["context_length"],
                ),
            ),
            neck=NeckConfig(channels=cfg["fpn_out"]),
            decoder=DecoderConfig(
                layers=cfg["num_layers"], heads=cfg["num_head"], feedforward=cfg["dim_ffn"], dropout=cfg["dropout"]
            ),
        )
        theirs = {key: cfg[key] for key in ("fpn_in", "vis_dim", "word_dim")}
    except KeyError as error:
        raise UsageError(f"CRIS settings lack {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f", {part}" for part in first["loc"])
        raise UsageError(f"CRIS settings{where}: {first['msg']}") from None
    width, embed_dim = vision.width, config.clip.embed_dim
    ours = {"fpn_in": [8 * width, 16 * width, embed_dim], "vis_dim": config.neck.channels[1], "word_dim": embed_dim}
    for key, value in ours.items():
        if (list(theirs[key]) if isinstance(theirs[key], tuple) else theirs[key]) != value:
            raise UsageError(f"CRIS settings: {key} is {theirs[key]}, but CLIP and neck make it {value}")
    return config


def load_official(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the authors' state dict.

    Raises:
        UsageError: it is of another network.
    """
    load_renamed(network, state, _rename, "CRIS checkpoint")


def _rename(name: str) -> str | None:
    for pattern, ours in _RENAMED:
        renamed, count = re.subn(f"^{pattern}", ours, name)
        if count and pattern != r"module\.":
            return renamed or None
        name = renamed
    return name
