"""The frozen feature pyramid of cris-tiny is that of the shipped SegCLIP, BatchNorm folded or not."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")
pytest.importorskip("timm")
onnx = pytest.importorskip("onnx")
from safetensors.torch import save_file  # noqa: E402

from rsseg_edge.bundle import open_bundle  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.models.cris.config import PyramidVisionConfig, load_config  # noqa: E402
from rsseg_edge.models.cris.pyramid_encoder import PyramidEncoder  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def encoder(backbone="lcnet_035", channels=8, weights=""):
    config = PyramidVisionConfig(backbone=backbone, channels=channels, weights=weights)
    return PyramidEncoder(config, MEAN, STD, pretrained=bool(weights))


def test_features_are_those_inside_of_the_shipped_bundle():
    config = load_config("cris-tiny").clip.vision
    assert config.weights == "segclip-tiny"
    made = encoder(config.backbone, config.channels, config.weights)
    graph = onnx.load_from_string(open_bundle(config.weights).read("model.onnx"))
    (embed,) = [n.output[0] for n in graph.graph.node if "network.pixel_decoder.embed.weight" in n.input]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(embed, onnx.TensorProto.FLOAT, None))
    image = np.random.default_rng(0).integers(0, 256, (1, 96, 128, 3), dtype=np.uint8)
    expected = OnnxRuntimeEngine(graph.SerializeToString(), threads=1).infer({"image": image}, [embed])[embed]
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2) / 255
    pixels = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    *_, detail = made(pixels)
    np.testing.assert_allclose(detail.numpy(), expected, rtol=1e-3, atol=1e-4)
    assert expected.std() > 0.1


def test_weights_come_from_a_trained_segclip_too(tmp_path):
    source, image = encoder(), torch.randn(1, 3, 64, 64)
    state = source.state_dict()
    named = {n.replace("pyramid.", "pixel_decoder."): t.contiguous() for n, t in state.items()}
    save_file(named | {"text": torch.zeros(2)}, tmp_path / "model.safetensors")
    torch.manual_seed(1)
    made = encoder(weights=str(tmp_path / "model.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(made(image), source(image), strict=True))


def test_what_does_not_fit_is_said_in_one_line(tmp_path):
    with pytest.raises(UsageError, match=r"vision weights 'gone': .*it takes a SegCLIP bundle or a \.safetensors"):
        encoder(weights="gone")
    with pytest.raises(UsageError, match=r"gone\.safetensors'.*no such file"):
        encoder(weights=str(tmp_path / "gone.safetensors"))
    with pytest.raises(UsageError, match="of another network than the configuration's: backbone"):
        encoder(weights="segclip-tiny")
    save_file({"backbone.x": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="of another network"):
        encoder(weights=str(tmp_path / "model.safetensors"))
