"""What is said where files of weights are of another CLIP than the one that was named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
from torch import Tensor

from rsseg_edge.errors import UsageError
from rsseg_edge.models.foreign import read_state
from rsseg_edge.models.segearth_ov.weights import load_upsampler_state

NAMES_TOLD = 4  # models that have the sizes of a file

Sizes = dict[str, int]


def require_upsampler_of(clip: str, file: Path) -> None:
    """Refuse an upsampler of features of another width than a CLIP's; a model that open_clip downloads is not known.

    Raises:
        UsageError: it is, or there is no upsampler in the file.
    """
    channels = load_upsampler_state(file)["fixup_proj.1.weight"].shape[0]
    wanted = (open_clip.get_model_config(clip) or {}).get("embed_dim", channels)
    if channels != wanted:
        raise UsageError(
            f"--upsampler-weights {file}: for features of {channels} channels, and those of CLIP {clip} have {wanted}; "
            f"name the CLIP that it was trained on with --clip, or train one: rsseg-train simfeatup --clip {clip}"
        )


def misfit(clip: str, weights: str) -> str | None:
    """One line that says why a local file's weights are not those of a CLIP; None where its sizes do not tell.

    Args:
        clip: open_clip's name of the model.
        weights: a file, or a tag of open_clip.
    """
    config = open_clip.get_model_config(clip)
    if config is None or not Path(weights).is_file():
        return None
    try:
        state = read_state(Path(weights), weights)
    except UsageError:
        return None
    wanted, found = _sizes_of_config(config), _sizes_of_state(state)
    if wanted is None:
        return None
    if found is None:
        return f"--clip-weights {weights}: no CLIP with a plain vision transformer in it, which SegEarth-OV needs"
    differing = [f"{name} {found[name]} in place of {wanted[name]}" for name in wanted if found[name] != wanted[name]]
    if not differing:
        return None
    others = [name for name in open_clip.list_models() if _sizes_of_config(open_clip.get_model_config(name)) == found]
    way = f"as these: {', '.join(others[:NAMES_TOLD])}" if others else "none of open_clip's has these sizes"
    return f"--clip-weights {weights}: not of CLIP {clip} ({', '.join(differing)}); name theirs with --clip ({way})"


def _sizes_of_config(config: Mapping[str, Any]) -> Sizes | None:
    """Of a model with CLIP's own towers; None of others."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    if not {"width", "layers", "patch_size"} <= vision.keys() or not {"width", "layers"} <= text.keys():
        return None
    if not isinstance(vision["layers"], int):
        return None  # of a ResNet
    return {
        "image width": vision["width"],
        "image layers": vision["layers"],
        "patch": vision["patch_size"],
        "text width": text["width"],
        "text layers": text["layers"],
        "joint width": config["embed_dim"],
    }


def _sizes_of_state(state: Mapping[str, Tensor]) -> Sizes | None:
    if not {"visual.class_embedding", "visual.conv1.weight", "text_projection"} <= state.keys():
        return None
    patches, joint = state["visual.conv1.weight"], state["text_projection"]

    def layers(prefix: str) -> int:
        return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})

    return {
        "image width": patches.shape[0],
        "image layers": layers("visual.transformer.resblocks."),
        "patch": patches.shape[-1],
        "text width": joint.shape[0],
        "text layers": layers("transformer.resblocks."),
        "joint width": joint.shape[1],
    }
