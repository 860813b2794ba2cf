"""A network that calls the operators: exported, run through the CPU kernels, checked against the published outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import onnxruntime as ort  # noqa: E402

from rsseg_edge.kernels.bench.comparisons import export  # noqa: E402
from rsseg_edge.kernels.bench.upsampler import Upsampler  # noqa: E402
from rsseg_edge.kernels.references import relative_error  # noqa: E402
from rsseg_edge.kernels.registry import DOMAIN, ort_library  # noqa: E402

SHARED = Path(__file__).parents[3] / "shared"


def run(model: bytes, tokens, guidance, *, library: bool):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if library:
        if ort_library() is None:
            pytest.skip("installed without a C++ compiler: no rsseg_ort_ops")
        options.register_custom_ops_library(str(ort_library()))
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"tokens": tokens.numpy(), "guidance": guidance.numpy()})[0]


@pytest.fixture(params=["jbu_one", "jbu_stack"])
def upsampler(request, golden):
    """The upsampler as published, its inputs, and what the authors' code gives."""
    tensors, settings = golden(f"simfeatup_{request.param}")
    weights = {k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")}
    tokens = tensors["input.features"].permute(0, 2, 3, 1).contiguous()
    wanted = tensors["output.upsampled"].permute(0, 2, 3, 1).double().numpy()
    return weights, settings["radius"], tokens, tensors["input.guidance"], wanted


@pytest.mark.parametrize("library", [True, False], ids=["kernels", "bodies"])
def test_the_exported_upsampler_gives_the_published_features(upsampler, library):
    weights, radius, tokens, guidance, wanted = upsampler
    model = export(Upsampler(weights, radius), tokens, guidance)
    nodes = [n.op_type for n in onnx.load_from_string(model).graph.node if n.domain == DOMAIN]
    stage = ["AdaptiveUpsample", "BilateralKernel", "FixupKernel", "PixelMLP"]
    assert sorted(nodes) == sorted(stage * 4)
    assert relative_error(run(model, tokens, guidance, library=library), wanted) <= 1e-4


@pytest.fixture(scope="module")
def released():
    """The released weights on a real crop: network, tokens, guidance, and what the authors' code gives at pixels."""
    vectors = SHARED / "parity" / "simfeatup_official_clip_jbu_stack.safetensors"
    weights = SHARED / "data" / "simfeatup_official" / "clip_jbu_stack_cocostuff.ckpt"
    for path in (vectors, weights):
        if not path.is_file():
            pytest.skip(f"no golden vectors: {path.name} is not in ../shared")
    tensors = pytest.importorskip("safetensors.torch").load_file(vectors)
    state = torch.load(weights, weights_only=True, map_location="cpu")["state_dict"]
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    guidance = ((tensors["input.image_uint8"] / 255 - mean) / std).permute(2, 0, 1)[None].contiguous()
    return (
        Upsampler({k.removeprefix("upsampler."): v for k, v in state.items()}, 3),
        tensors["input.features"].permute(0, 2, 3, 1).contiguous(),
        guidance,
        lambda features: features.reshape(-1, 512)[tensors["output.pixel_index"].numpy()],
        tensors["output.upsampled_at_pixels"].double().numpy(),
    )


@pytest.mark.parametrize("face", ["reference", "kernels"])
def test_the_released_weights_give_the_published_features_on_a_real_image(released, face):
    network, tokens, guidance, at_pixels, wanted = released
    if face == "reference":
        with torch.no_grad():
            features = network(tokens, guidance).numpy()
    else:
        features = run(export(network, tokens, guidance), tokens, guidance, library=True)
    assert relative_error(at_pixels(features), wanted) <= 1e-4


def test_fused_classification_gives_the_cosines_of_the_published_features(upsampler):
    weights, radius, tokens, guidance, wanted = upsampler
    text = torch.nn.functional.normalize(torch.randn(5, tokens.shape[3]), dim=1)
    model = export(Upsampler(weights, radius, text), tokens, guidance)
    features = torch.from_numpy(wanted)
    cosines = torch.nn.functional.normalize(features, dim=-1) @ text.double().T
    assert relative_error(run(model, tokens, guidance, library=True), cosines.numpy()) <= 1e-4
