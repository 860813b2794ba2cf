"""CLIP's weights, from open_clip by name or from a local file."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.cris.config import CLIPConfig
from rsseg_edge.models.cris.state_dict import load_renamed
from rsseg_edge.models.foreign import read_state


def load_clip(vision: nn.Module, text: nn.Module, config: CLIPConfig) -> None:
    """Load the weights that ``config`` names into both encoders. What CRIS adds to CLIP keeps its random start.

    Raises:
        UsageError: they cannot be had, or are of another network.
    """
    what = f"CLIP weights {config.weights}"
    state = read_state(Path(config.weights), what) if _is_file(config.weights) else _download(config)
    encoders = nn.ModuleDict({"vision": vision, "text": text})
    load_renamed(encoders, state, _rename, what, optional=("vision.net.attnpool.connect.",))


def _is_file(weights: str) -> bool:
    return Path(weights).suffix != "" or Path(weights).is_file()


def _rename(name: str) -> str | None:
    if name in {"logit_scale", "input_resolution", "context_length", "vocab_size"}:
        return None
    return f"vision.net.{name.removeprefix('visual.')}" if name.startswith("visual.") else f"text.net.{name}"


def _download(config: CLIPConfig) -> dict[str, Tensor]:
    import open_clip

    try:
        model = open_clip.create_model(config.name, pretrained=config.weights)
    except Exception as error:  # open_clip passes on whatever its hub, its files or its registry raise
        raise UsageError(
            f"CLIP weights '{config.weights}' of {config.name} cannot be had ({str(error).splitlines()[0]}); "
            f"a local file will do"
        ) from None
    state: dict[str, Tensor] = model.state_dict()
    return state
