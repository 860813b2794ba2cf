"""A network that calls the operators: exported, run through the CPU kernels, checked against the published outputs."""

from __future__ import annotations

import pytest

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import onnxruntime as ort  # noqa: E402

from rsseg_edge.kernels.bench.comparisons import export  # noqa: E402
from rsseg_edge.kernels.bench.upsampler import Upsampler  # noqa: E402
from rsseg_edge.kernels.references import relative_error  # noqa: E402
from rsseg_edge.kernels.registry import DOMAIN, ort_library  # noqa: E402


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
    assert sorted(nodes) == ["AdaptiveUpsample"] * 4 + ["BilateralKernel"] * 4
    assert relative_error(run(model, tokens, guidance, library=library), wanted) <= 1e-4


def test_fused_classification_gives_the_cosines_of_the_published_features(upsampler):
    weights, radius, tokens, guidance, wanted = upsampler
    text = torch.nn.functional.normalize(torch.randn(5, tokens.shape[3]), dim=1)
    model = export(Upsampler(weights, radius, text), tokens, guidance)
    features = torch.from_numpy(wanted)
    cosines = torch.nn.functional.normalize(features, dim=-1) @ text.double().T
    assert relative_error(run(model, tokens, guidance, library=True), cosines.numpy()) <= 1e-4
