"""The published code's vectors through the exported graphs in ONNX Runtime, by the compiled kernels and the bodies."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export is the lab side: it needs torch")
open_clip = pytest.importorskip("open_clip")

from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from rsseg_edge.export.graph import trace  # noqa: E402
from rsseg_edge.models.segearth_ov.network import SegEarthOV  # noqa: E402
from rsseg_edge.models.segearth_ov.vit import ATTENTION, DenseViT  # noqa: E402


class CropLogits(torch.nn.Module):
    """A window, normalised already, as the vectors have it."""

    def __init__(self, network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image, text):
        return self.network.crop_logits(image, text)


class Variants(torch.nn.Module):
    """Tokens and class token of all attention variants, with and without the residual path."""

    def __init__(self, visual) -> None:
        super().__init__()
        self.names = [f"{variant}.{residual}" for variant in ATTENTION for residual in ("noresidual", "residual")]
        self.vits = torch.nn.ModuleList(
            DenseViT(visual, variant, ignore_residual=ignore) for variant in ATTENTION for ignore in (True, False)
        )

    def forward(self, image):
        return tuple(part.flatten(1, -2) if part.ndim == 4 else part for vit in self.vits for part in vit(image))


def weights(tensors, prefix):
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


@pytest.mark.parametrize("size", [64, 96])
def test_tokens_are_the_published_ones(golden, size):
    tensors, settings = golden(f"segearth_vit_{size}")
    visual = open_clip.CLIP(**settings["clip"]).eval().requires_grad_(False).visual
    visual.load_state_dict(weights(tensors, "weights."))
    module = Variants(visual).eval()
    names = [f"{name}.{part}" for name in module.names for part in ("tokens", "cls")]
    graph = trace(module, (tensors["input.image"],), ["image"], names)
    found = OnnxRuntimeEngine(graph.SerializeToString()).infer({"image": tensors["input.image"].numpy()})
    for name in names:
        expected = tensors[f"output.{name}"].numpy()
        assert np.abs(found[name] - expected).max() <= 1e-4 * np.abs(expected).max(), name


@pytest.mark.parametrize(("name", "noise"), [("segearth_full_a", 0.3), ("segearth_full_b", 0.1)])
def test_predictions_are_the_networks_and_nearly_the_published_ones(golden, monkeypatch, name, noise):
    """Nearly: the published code was run with its upsampler's dropout on. See the network's own tests."""
    tensors, settings = golden(name)
    settings.pop("templates"), settings.pop("names")
    network = SegEarthOV.from_official(
        weights(tensors, "weights.clip."),
        weights(tensors, "weights.upsampler."),
        clip_config=settings.pop("clip"),
        **settings,
    )
    image, text = tensors["input.image"], tensors["output.query_features"]
    crop = image[..., :64, :64].contiguous()
    class_index = torch.tensor([0, 1, 1, 1, 2, 3, 3, 4])
    predicted = network.predict(image, text, class_index)
    published, logits = tensors["output.crop_logits"].numpy(), network.crop_logits(crop, text).numpy()
    graph = trace(CropLogits(network), (crop, text), ["image", "text"], ["cosines"]).SerializeToString()
    for kernels in (True, False):
        engine = OnnxRuntimeEngine(graph, kernels=kernels)

        def run(window, text, engine=engine):
            inputs = {"image": window.contiguous().numpy(), "text": text.numpy()}
            return torch.from_numpy(engine.infer(inputs)["cosines"])

        found = run(crop, text).numpy()
        assert np.abs(found - logits).max() <= 1e-4 * np.abs(logits).max()
        assert np.abs(found - published).max() <= noise * np.abs(published).max()
        with monkeypatch.context() as patch:
            patch.setattr(network, "crop_logits", run)
            by_graph = network.predict(image, text, class_index)
        assert (by_graph == predicted).float().mean() >= 0.999
        assert (by_graph == tensors["output.prediction"]).float().mean() >= 0.97
