"""The exported graphs against the network, and against the published code's golden vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export is the lab side: it needs torch")
pytest.importorskip("open_clip")
onnx = pytest.importorskip("onnx")
cv2 = pytest.importorskip("cv2")

import rsseg_edge  # noqa: E402
from rsseg_edge.bundle import open_bundle  # noqa: E402
from rsseg_edge.calibration import quantize, search  # noqa: E402
from rsseg_edge.engines.agreement import THRESHOLDS  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.export import cris as export_cris_module  # noqa: E402
from rsseg_edge.export import cris_graph  # noqa: E402
from rsseg_edge.export.build import Request, export  # noqa: E402
from rsseg_edge.export.cris import runner, to_onnx  # noqa: E402
from rsseg_edge.export.cris_graph import (  # noqa: E402
    DETAIL,
    TEXT_OUTPUTS,
    VISION_OUTPUTS,
    DeployedFusion,
    DeployedText,
    DeployedVision,
)
from rsseg_edge.export.cris_published import PublishedCRIS  # noqa: E402
from rsseg_edge.export.graph import trace  # noqa: E402
from rsseg_edge.export.int8 import Int8Request, export_int8  # noqa: E402
from rsseg_edge.models.cris.config import (  # noqa: E402
    CLIPConfig,
    CRISConfig,
    DecoderConfig,
    NeckConfig,
    PyramidVisionConfig,
    TextConfig,
    VisionConfig,
)
from rsseg_edge.models.cris.network import CRIS  # noqa: E402

SIZE = 96
CONFIG = CRISConfig(
    name="small",
    word_length=9,
    image_size=SIZE,
    clip=CLIPConfig(
        embed_dim=24,
        vision=VisionConfig(layers=(1, 2, 1, 1), width=4, image_size=64),
        text=TextConfig(width=32, heads=2, layers=2, context_length=12),
    ),
    neck=NeckConfig(channels=(16, 32, 24)),
    decoder=DecoderConfig(layers=2, heads=4, feedforward=48),
)


SMALL_PYRAMID = CONFIG.model_copy(
    update={
        "clip": CONFIG.clip.model_copy(update={"vision": PyramidVisionConfig(backbone="lcnet_035", channels=16)}),
    }
)


@pytest.fixture(scope="module")
def network():
    return altered(CONFIG)


def altered(config):
    """A network whose every part does something."""
    torch.manual_seed(0)
    made = CRIS(config, pretrained=False).eval()
    for module in made.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, std=0.1)
        if isinstance(module, torch.nn.MultiheadAttention):  # zero when made: an error in them would not show
            torch.nn.init.normal_(module.in_proj_bias)
            torch.nn.init.normal_(module.out_proj.bias)
    return made


@pytest.fixture(scope="module")
def tokens():
    """Start 49406, end 49407, padding 0; three lengths."""
    rows = [[49406, 5, 17, 49407], [49406, 3, 49407], [49406, *range(20, 27), 49407]]
    return torch.tensor([row + [0] * (9 - len(row)) for row in rows])


@pytest.fixture(scope="module")
def image():
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def expected(network, image, tokens):
    with torch.no_grad():
        return network(network.normalize(image.permute(0, 3, 1, 2).float()), tokens)[:, 0]


@pytest.fixture(scope="module")
def graphs(network):
    return to_onnx(network, SIZE)


def close(found, expected, tolerance=1e-3):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()
    assert ((found > 0) == (expected > 0)).mean() >= 0.999


@pytest.mark.parametrize("ours_from", [1, 10**6])
@torch.no_grad()
def test_three_parts_are_the_network(network, image, tokens, expected, monkeypatch, ours_from):
    monkeypatch.setattr(cris_graph, "_OURS_FROM", ours_from)
    vision = DeployedVision(network, SIZE)(image)
    found = DeployedFusion(network, SIZE)(*vision, *DeployedText(network)(tokens))
    close(found.numpy(), expected.numpy(), 1e-4)


@torch.no_grad()
def test_a_finer_level_goes_from_the_image_to_the_mask(image, tokens):
    pytest.importorskip("timm")
    network = altered(SMALL_PYRAMID)
    pixels = network.normalize(image.permute(0, 3, 1, 2).float())
    expected = network(pixels, tokens)[:, 0].numpy()
    graphs = to_onnx(network, SIZE)
    assert [o.name for o in graphs["vision"].graph.output] == [*VISION_OUTPUTS, DETAIL]
    close(runner(graphs, 1)(image.numpy(), tokens.numpy()), expected)
    network.fusion.projector.detail[1].bias.data += 1
    assert np.abs(network(pixels, tokens)[:, 0].numpy() - expected).max() > 1e-3


@torch.no_grad()
def test_the_baseline_is_the_network(network, image, tokens, expected):
    pixels = network.normalize(image.permute(0, 3, 1, 2).float())
    close(PublishedCRIS(network)(pixels.expand(3, -1, -1, -1), tokens)[:, 0].numpy(), expected.numpy(), 1e-4)


@pytest.mark.parametrize("count", [1, 3])
def test_graphs_are_the_network_for_any_number_of_sentences(graphs, image, tokens, expected, count):
    close(runner(graphs, 1)(image.numpy(), tokens[:count].numpy()), expected[:count].numpy())


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "bodies"])
def test_columns_of_padding_change_nothing(graphs, image, tokens, expected, kernels):
    short = tokens[:2, :4].numpy()  # the third sentence is longer
    assert not tokens[:2, 4:].any()
    close(runner(graphs, 1, kernels=kernels)(image.numpy(), short), expected[:2].numpy())


def test_nothing_in_the_graphs_is_bicubic_or_depends_on_the_sentence_s_kernel(graphs):
    nodes = [node for graph in graphs.values() for node in graph.graph.node]
    modes = {a.s for node in nodes if node.op_type == "Resize" for a in node.attribute if a.name == "mode"}
    assert modes == {b"linear"}
    constants = {t.name for t in graphs["fusion"].graph.initializer}
    assert all(node.input[1] in constants for node in graphs["fusion"].graph.node if node.op_type == "Conv")


def test_golden_vectors_through_the_graphs(golden):
    tensors, settings = golden("cris_full")
    state = {key.removeprefix("weights."): t for key, t in tensors.items() if key.startswith("weights.")}
    state = {key: torch.as_tensor(value) for key, value in state.items()}
    network = CRIS.from_official(state, cfg=settings["cfg"], clip=settings["clip"])
    images, words = torch.as_tensor(tensors["input.image"]), torch.as_tensor(tensors["input.words"])
    size = images.shape[2]

    class FromPixels(DeployedVision):  # the vectors' images are no bytes
        def forward(self, pixels):
            return self.look(pixels)

    graphs = to_onnx(network, size)
    vision = FromPixels(network, size).eval()
    graphs["vision"] = trace(vision, (images[:1],), ["pixels"], VISION_OUTPUTS)
    engines = {name: OnnxRuntimeEngine(graph.SerializeToString(), threads=1) for name, graph in graphs.items()}
    text = engines["text"].infer({"tokens": words.numpy()})
    assert set(text) == set(TEXT_OUTPUTS)
    found = []
    for index in range(len(images)):
        features = engines["vision"].infer({"pixels": images[index : index + 1].numpy()})
        features |= {name: value[index : index + 1] for name, value in text.items()}
        found.append(engines["fusion"].infer(features)["mask_logits"])
    close(np.concatenate(found), np.asarray(tensors["output.logits"])[:, 0])


@pytest.fixture
def official(network, graphs, monkeypatch, tmp_path) -> Path:
    """What :func:`export_cris` reads as an official checkpoint, of the small network, which is traced only once."""

    def traced(made, size):
        return {name: onnx.ModelProto.FromString(graph.SerializeToString()) for name, graph in graphs.items()}

    monkeypatch.setattr(export_cris_module, "to_onnx", traced)
    monkeypatch.setattr(export_cris_module, "load_config", lambda name: CONFIG)
    monkeypatch.setattr(export_cris_module, "load_official", lambda made, state: made.load_state_dict(state))
    monkeypatch.setattr(export_cris_module, "GATE_IMAGES", 1)
    monkeypatch.setattr(export_cris_module, "GATE_SENTENCES", ("the road", "red water"))
    path = tmp_path / "best.pth"
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in network.state_dict().items()}}, path)
    return path


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_bundle_runs_and_says_what_it_is(official, network, tmp_path, precision):
    folder = tmp_path / "small"
    lines: list[str] = []
    manifest = export(Request("cris", precision, official=official), folder, lines.append)
    assert manifest.task == "referring"
    assert manifest.referring is not None
    assert (manifest.referring.size, manifest.referring.max_words, manifest.referring.threshold) == (SIZE, 9, 0.35)
    assert manifest.parity is not None
    assert manifest.parity.agreement >= manifest.parity.threshold
    assert sorted(manifest.files) == ["fusion.onnx", "text.onnx", "tokenizer.json", "vision.onnx"]
    assert json.loads((folder / "bundle.json").read_text())["precision"]["name"] == precision
    segmenter = rsseg_edge.load(folder, threads=1)
    notes = segmenter.refer(["the road", "a very long sentence about the small house by the lake"])
    assert len(notes) == 1
    result = segmenter(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    assert result.masks.shape == (2, 50, 70)


@pytest.mark.parametrize("target", ["cpu", "tensorrt"])
def test_what_sees_the_image_becomes_int8_and_what_reads_stays(official, tmp_path, monkeypatch, target):
    monkeypatch.setitem(THRESHOLDS, "int8", 0.5)  # a random network decides by a hair
    monkeypatch.setattr(quantize, "drop_slow_kinds", lambda plan, *_: (plan, {}))  # what is slow here is not asked
    monkeypatch.setattr(search, "ROUNDS", 1)
    photos = tmp_path / "photos"
    photos.mkdir()
    pictures = np.random.default_rng(0).integers(0, 256, (14, 6, 8, 3), dtype=np.uint8)
    for i, picture in enumerate(pictures):
        cv2.imwrite(str(photos / f"{i}.png"), np.kron(picture, np.ones((12, 12, 1), np.uint8)))
    export(Request("cris", "fp32", official=official), tmp_path / "small", lambda line: None)
    wanted = Int8Request(str(photos), target, images=8)
    export_int8(Request(str(tmp_path / "small"), "int8"), wanted, tmp_path / "int8", lambda line: None)
    parent, made = open_bundle(tmp_path / "small"), open_bundle(tmp_path / "int8")
    assert made.manifest.precision.target == target
    assert made.read("text.onnx") == parent.read("text.onnx")
    report = json.loads(made.read("report.json"))
    assert report["kept_higher"]["text.onnx"] == "runs once a sentence, not once a frame"
    for name in ("vision.onnx", "fusion.onnx"):
        graph = onnx.load_from_string(made.read(name)).graph
        zeros = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        zeros = [zeros[n.input[2]] for n in graph.node if n.op_type == "QuantizeLinear"]
        assert len(zeros) > 3, name
        assert {zero.dtype.name for zero in zeros} == {"uint8" if target == "cpu" else "int8"}
        assert target == "cpu" or not any(zeros)
        assert report["quantized"][name]
    image = cv2.cvtColor(cv2.imread(str(photos / "3.png")), cv2.COLOR_BGR2RGB)
    masks = []
    for folder in (tmp_path / "small", tmp_path / "int8"):
        segmenter = rsseg_edge.load(folder, threads=1)
        segmenter.refer(["the road", "red water"])
        masks.append(segmenter(image).masks)
    assert (masks[0] == masks[1]).mean() > 0.9


def test_weights_are_asked_for_in_one_line(tmp_path):
    with pytest.raises(UsageError, match=r"--checkpoint .* or --official"):
        export(Request("cris", "fp32"), tmp_path / "a", lambda line: None)
    with pytest.raises(UsageError, match="no such file"):
        export(Request("cris", "fp32", official=tmp_path / "gone.pth"), tmp_path / "a", lambda line: None)
    with pytest.raises(UsageError, match="--official is not for segclip"):
        export(Request("segclip", "fp32", official=tmp_path / "gone.pth"), tmp_path / "a", lambda line: None)
