"""The deformable pixel decoder against transformers' Mask2Former, weights copied across."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from rsseg_edge.models.segclip.config import PixelDecoderConfig  # noqa: E402
from rsseg_edge.models.segclip.deformable import DeformableAttention, DeformablePixelDecoder  # noqa: E402

IN_CHANNELS = (24, 40, 56, 72)
SIZES = [(32, 96), (160, 96), (96, 224)]


def features(height, width, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, c, height // s, width // s, generator=generator)
        for c, s in zip(IN_CHANNELS, (4, 8, 16, 32), strict=True)
    ]


def copy_weights(ours, theirs):
    """Every tensor of theirs, once: a forgotten or doubled one fails."""
    pairs = {"level": "level_embed", "embed.weight": "mask_projection.weight", "embed.bias": "mask_projection.bias"}
    for i in range(len(ours.project)):
        for part in ("0.weight", "0.bias", "1.weight", "1.bias"):
            pairs[f"project.{i}.{part}"] = f"input_projections.{i}.{part}"
    for part in ("0.weight", "1.weight", "1.bias"):
        pairs[f"lateral.{part}"] = f"adapter_1.{part}"
        pairs[f"smooth.{part}"] = f"layer_1.{part}"
    names = {
        "attention.offsets": "self_attn.sampling_offsets",
        "attention.weights": "self_attn.attention_weights",
        "attention.value": "self_attn.value_proj",
        "attention.out": "self_attn.output_proj",
        "attention.norm": "self_attn_layer_norm",
        "feedforward.linear1": "fc1",
        "feedforward.linear2": "fc2",
        "feedforward.norm": "final_layer_norm",
    }
    for i in range(len(ours.layers)):
        for mine, other in names.items():
            for part in ("weight", "bias"):
                pairs[f"layers.{i}.{mine}.{part}"] = f"encoder.layers.{i}.{other}.{part}"
    state = theirs.state_dict()
    assert sorted(pairs.values()) == sorted(state)
    ours.load_state_dict({mine: state[other] for mine, other in pairs.items()})


@pytest.fixture(scope="module")
def decoders():
    """Ours and theirs with the same random weights, six layers as in the full model."""
    pytest.importorskip("transformers")
    from transformers import Mask2FormerConfig
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerPixelDecoder

    torch.manual_seed(0)
    config = Mask2FormerConfig(
        feature_size=64, mask_feature_size=64, encoder_feedforward_dim=96, num_attention_heads=8, encoder_layers=6,
        feature_strides=[4, 8, 16, 32], common_stride=4,
    )  # fmt: skip
    theirs = Mask2FormerPixelDecoder(config, list(IN_CHANNELS)).eval()
    for name, parameter in theirs.named_parameters():
        is_scale = name.endswith("weight") and parameter.ndim == 1
        torch.nn.init.normal_(parameter, mean=float(is_scale), std=0.15)
    ours = DeformablePixelDecoder(
        IN_CHANNELS, 64, PixelDecoderConfig(kind="deformable", layers=6, heads=8, points=4, feedforward=96)
    ).eval()
    copy_weights(ours, theirs)
    return ours, theirs


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pixel_decoder_equals_mask2formers(decoders, height, width):
    ours, theirs = decoders
    with torch.no_grad():
        memory, embedding = ours(features(height, width))
        expected = theirs(features(height, width), return_dict=True)
    assert [tuple(m.shape) for m in memory] == [(2, 64, height // s, width // s) for s in (32, 16, 8)]
    for mine, other in zip([*memory, embedding], [*expected.multi_scale_features, expected.mask_features], strict=True):
        assert other.abs().max() > 1
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=2e-5)


def test_gradients_equal_mask2formers(decoders):
    ours, theirs = decoders
    inputs = [[f.requires_grad_() for f in features(64, 96, batch=1)] for _ in range(2)]
    ours(inputs[0])[1].square().mean().backward()
    theirs(inputs[1], return_dict=True).mask_features.square().mean().backward()
    for mine, other in zip(*inputs, strict=True):
        scale = float(other.grad.abs().max())
        assert scale > 0
        torch.testing.assert_close(mine.grad / scale, other.grad / scale, rtol=0, atol=1e-4)


def test_attention_starts_as_deformable_detrs():
    torch.manual_seed(0)
    attention = DeformableAttention(64, heads=8, levels=3, points=4)
    offsets = attention.offsets.bias.view(8, 3, 4, 2)
    for point in range(4):  # on the square of that radius, the same on every level
        torch.testing.assert_close(offsets[:, :, point].abs().amax(-1), torch.full((8, 3), point + 1.0))
    torch.testing.assert_close(offsets[0, 0], torch.tensor([[1.0, 0], [2, 0], [3, 0], [4, 0]]))
    torch.testing.assert_close(offsets[1, 2, 1], torch.tensor([2.0, 2.0]))  # 45 degrees: a corner
    for zero in (attention.offsets.weight, attention.weights.weight, attention.weights.bias):
        assert not zero.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_stays_close(decoders, dtype):
    ours, _ = decoders
    with torch.no_grad():
        exact = ours(features(64, 96))[1]
        with torch.autocast("cpu", dtype):
            mixed = ours(features(64, 96))[1]
    assert F.cosine_similarity(exact.flatten(), mixed.float().flatten(), dim=0) > 0.99


def test_decoder_exports_to_a_graph_of_any_size():
    pytest.importorskip("onnxscript")
    from rsseg_edge.kernels.functions import attach

    ort = pytest.importorskip("onnxruntime")
    torch.manual_seed(1)
    config = PixelDecoderConfig(kind="deformable", layers=1, heads=8, points=4, feedforward=96)
    decoder = DeformablePixelDecoder(IN_CHANNELS, 64, config).eval()
    rows, columns = torch.export.Dim("rows", min=1, max=64), torch.export.Dim("columns", min=1, max=64)
    program = torch.onnx.export(
        decoder, (features(64, 96, batch=1),), dynamo=True, opset_version=18, verbose=False,
        dynamic_shapes=([{2: k * rows, 3: k * columns} for k in (8, 4, 2, 1)],),
    )  # fmt: skip
    model = program.model_proto
    assert attach(model) == ["MSDeformAttn"]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    for size in ((64, 96), (160, 96), (32, 224)):
        inputs = features(*size, batch=1)
        outputs = session.run(None, dict(zip(names, (f.numpy() for f in inputs), strict=True)))
        with torch.no_grad():
            memory, embedding = decoder(inputs)
        for got, expected in zip(outputs, [*memory, embedding], strict=True):
            np.testing.assert_allclose(got, expected.numpy(), atol=2e-5, rtol=1e-4)
