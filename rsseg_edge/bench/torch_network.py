"""The network of a bundle in PyTorch, with random weights: a runtime's speed does not depend on them."""

from __future__ import annotations

import importlib.util
from typing import Any

from rsseg_edge.bundle import Manifest
from rsseg_edge.engines.base import EngineAbsentError


def torch_network(manifest: Manifest) -> Any:
    """What the bundle's graph computes (of CRIS the one that sees the image), as a module in evaluation mode.

    Raises:
        EngineAbsentError: torch is not installed, or there is no such network, or it is no fair contestant.
    """
    if importlib.util.find_spec("torch") is None:
        raise EngineAbsentError("not installed; pip install 'rsseg-edge[train]'")
    if manifest.model in ("segclip", "segclip-tiny"):
        return _segclip(manifest)
    if manifest.model == "segearth-ov-tiny":
        return _open_vocabulary(manifest)
    if manifest.model == "segearth-ov":
        raise EngineAbsentError("its adaptive convolution in PyTorch unfolds a window to 12 GB")
    if manifest.referring is not None:
        return _cris(manifest)
    raise EngineAbsentError("there is no network in PyTorch to this bundle")


def _segclip(manifest: Manifest) -> Any:
    import torch

    from rsseg_edge.export.segclip import DeployedSegCLIP
    from rsseg_edge.models.segclip.config import load_config
    from rsseg_edge.models.segclip.network import SegCLIP

    config = load_config(manifest.model)
    text = torch.randn(len(manifest.classes), 384)  # of any width: what reads it follows
    return DeployedSegCLIP(SegCLIP(config, text, pretrained=False)).eval()


def _open_vocabulary(manifest: Manifest) -> Any:
    from rsseg_edge.export.open_vocabulary import DeployedWindows
    from rsseg_edge.models.segearth_ov.tiny.config import load_config
    from rsseg_edge.models.segearth_ov.tiny.cosines import CosineUpsampler
    from rsseg_edge.models.segearth_ov.tiny.network import SegEarthOVTiny

    config = load_config("segearth-ov-tiny")
    bilinear = manifest.config.get("upsampler") == "bilinear"
    upsampler = None if bilinear else CosineUpsampler(config.text.dim, config.upsampler)
    return DeployedWindows(SegEarthOVTiny(config, upsampler)).eval()


def _cris(manifest: Manifest) -> Any:
    from rsseg_edge.export.cris_graph import DeployedVision
    from rsseg_edge.models.cris.config import load_config
    from rsseg_edge.models.cris.network import CRIS

    config = load_config(manifest.model)
    return DeployedVision(CRIS(config, pretrained=False).eval(), config.image_size).eval()
