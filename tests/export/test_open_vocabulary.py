"""SegEarth-OV as a bundle gives what the network gives, for any words and any number of windows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="export is the lab side: it needs torch")

import rsseg_edge  # noqa: E402
from rsseg_edge.bundle import open_bundle  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from rsseg_edge.errors import RssegError, UsageError  # noqa: E402
from rsseg_edge.export import parity  # noqa: E402
from rsseg_edge.export.build import export  # noqa: E402
from rsseg_edge.export.open_vocabulary import DeployedWindows  # noqa: E402
from rsseg_edge.export.request import Request  # noqa: E402
from rsseg_edge.kernels.registry import DOMAIN  # noqa: E402
from rsseg_edge.models.segearth_ov.network import SegEarthOV  # noqa: E402
from rsseg_edge.prompts.tokenizer import Tokenizer  # noqa: E402

from .conftest import CLIP, CLIP_CONFIG, NAMES  # noqa: E402


def quiet(line: str) -> None:
    pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def network(weights, small_windows) -> SegEarthOV:
    request = weights.request()
    config = small_windows("segearth-ov", clip=request.clip, clip_weights=request.clip_weights, upsampler="jbu_stack")
    return SegEarthOV.from_files(config, weights.upsampler)


def picture(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(3).integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((16, 16, 1), np.uint8))[:height, :width]


def predicted(network: SegEarthOV, image: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    windows = DeployedWindows(network)
    normalised = ((torch.from_numpy(image).float() - windows.mean) / windows.std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return network.predict(normalised, network.text_features(names))[0].numpy()


def test_the_runtime_gives_the_networks_classes_and_takes_other_words(words_bundle: Path, network) -> None:
    segmenter = rsseg_edge.load(words_bundle)
    image = picture(96, 128)
    found = segmenter(image)
    assert found.classes == ("building", "road", "water", "bare soil")
    assert len(np.unique(found.class_map)) > 1
    assert np.mean(found.class_map == predicted(network, image, NAMES)) >= 0.999
    others = ("solar panel", "Tree,bush", "café")
    segmenter.set_classes(others)
    assert np.mean(segmenter(image).class_map == predicted(network, image, others)) >= 0.999


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "bodies"])
def test_graph_takes_any_number_of_windows_and_words(words_bundle: Path, network, kernels: bool) -> None:
    engine = OnnxRuntimeEngine(open_bundle(words_bundle).read("model.onnx"), kernels=kernels)
    for windows, words in ((1, 1), (3, 7)):
        crops = np.stack([picture(64, 64)] * windows)
        text = torch.nn.functional.normalize(torch.randn(words, 24), dim=-1)
        found = engine.infer({"crops": crops, "text": text.numpy()})
        deployed = DeployedWindows(network)
        with torch.inference_mode():
            expected = dict(zip(deployed.outputs, deployed(torch.from_numpy(crops), text), strict=True))
        assert found.keys() == expected.keys() == {"cosines", "coarse_cosines"}
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values.numpy(), atol=2e-5)


def test_operators_are_single_nodes_with_bodies(words_bundle: Path) -> None:
    graph = onnx.load_from_string(open_bundle(words_bundle).read("model.onnx"))
    ours = [node.op_type for node in graph.graph.node if node.domain == DOMAIN]
    upsampling = ["AdaptiveUpsample"] * 3 + ["AdaptiveUpsampleClassify"]
    assert sorted(ours) == sorted([*upsampling, *["BilateralKernel", "FixupKernel", "PixelMLP"] * 4])
    assert {function.name for function in graph.functions} == set(ours)
    assert "Pad" not in {node.op_type for node in graph.graph.node}


def test_padding_after_the_longest_sentence_changes_no_feature(words_bundle: Path, network) -> None:
    bundle = open_bundle(words_bundle)
    engine = OnnxRuntimeEngine(bundle.read("text.onnx"))
    sentences = ["a photo of a road.", "the origami building roof beside the river.", "water"]
    tokens = Tokenizer(bundle.read("tokenizer.json"), 77).encode(sentences)
    with torch.inference_mode():
        expected = network.text_encoder(torch.from_numpy(tokens)).numpy()
    for length in (77, 40, int(np.count_nonzero(tokens, 1).max())):
        found = engine.infer({"tokens": tokens[:, :length]})["features"]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_manifest_tells_words_templates_and_parity(words_bundle: Path) -> None:
    manifest = open_bundle(words_bundle).manifest
    vocabulary = manifest.vocabulary
    assert manifest.task == "open-vocabulary"
    assert vocabulary is not None
    assert (vocabulary.dim, vocabulary.crop, vocabulary.stride, vocabulary.max_queries) == (24, 64, 32, 256)
    assert (vocabulary.encoder, vocabulary.context_length, vocabulary.logit_scale) == ("text.onnx", 77, 50)
    assert len(vocabulary.templates) == 80
    assert "a photo of a {}." in vocabulary.templates
    assert vocabulary.words == NAMES
    assert set(manifest.files) == {"model.onnx", "text.onnx", "tokenizer.json"}
    assert manifest.input.border == (123, 117, 104)
    assert manifest.parity is not None
    assert manifest.parity.agreement >= 0.999
    assert manifest.config["clip_weights"] == "clip.safetensors"  # not where it lay


def test_fp16_halves_the_files(weights, small_windows, words_bundle: Path, tmp_path: Path) -> None:
    manifest = export(weights.request("fp16"), tmp_path / "half", quiet)
    assert manifest.parity is not None
    assert manifest.parity.agreement >= 0.995
    assert manifest.precision.name == "fp16"
    for name in ("model.onnx", "text.onnx"):
        half, full = ((folder / name).stat().st_size for folder in (tmp_path / "half", words_bundle))
        assert half < 0.75 * full
    image = picture(96, 128)
    a, b = (rsseg_edge.load(folder)(image).class_map for folder in (tmp_path / "half", words_bundle))
    assert np.mean(a == b) >= 0.99


def test_gate_refuses_a_graph_that_disagrees(weights, small_windows, tmp_path, monkeypatch) -> None:
    def wrong(gate: parity.Gate, graph: onnx.ModelProto, kernels: bool):
        return lambda crops: (np.full(crops.shape[:3], 200, np.uint8), np.zeros((1, 6, 64, 64), np.float32))

    monkeypatch.setattr(parity.Gate, "run", wrong)
    with pytest.raises(RssegError, match="parity gate"):
        export(weights.request(), tmp_path / "wrong", quiet)
    assert not list(tmp_path.iterdir())


WIDER = f"{CLIP}-wider"


@pytest.fixture
def wider_clip(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One more model that open_clip knows."""
    import open_clip

    folder = tmp_path_factory.mktemp("wider")
    config = CLIP_CONFIG | {"vision_cfg": CLIP_CONFIG["vision_cfg"] | {"width": 48}}
    (folder / f"{WIDER}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)


@pytest.mark.usefixtures("wider_clip")
def test_bad_requests_are_refused_in_a_line_before_anything_is_traced(weights, tmp_path: Path) -> None:
    cases = (
        ({"upsampler_weights": None}, "segearth-ov needs --upsampler-weights FILE"),
        ({"upsampler_weights": tmp_path / "none.ckpt"}, r"none\.ckpt: no such file"),
        (
            {"upsampler_weights": weights.wide},
            r"--upsampler-weights .*: for features of 32 channels, and those of CLIP .*-export have 24; .*--clip",
        ),
        (
            {"clip": WIDER},
            r"--clip-weights .*clip\.safetensors: not of CLIP .*-wider \(image width 32 in place of 48\); "
            r"name theirs with --clip \(as these: rsseg-test-export\)",
        ),
        ({"clip_weights": str(weights.upsampler)}, r"--clip-weights .*upsampler\.safetensors: no CLIP .* in it"),
        ({"clip": "ViT-Z-1"}, "open_clip has no model 'ViT-Z-1'"),
        ({"clip_weights": str(tmp_path / "none.pt")}, r"weights '.*none\.pt' cannot be loaded"),
        ({"classes": ("road", "Road")}, "'Road' is named twice"),
        ({"classes": ("road,",)}, "has an empty synonym"),
        ({"classes": tuple(f"class {i}" for i in range(257))}, "256 is the maximum"),
        ({"classes": tuple(f"class {i}" for i in range(256))}, "a class map holds 255"),
        (
            {"classes": ("road", "long " * 80)},
            "prompt longer than the text encoder's 77 tokens: 'a bad photo of a long",
        ),
        ({"checkpoint": tmp_path / "model.safetensors"}, "--checkpoint is not for segearth-ov"),
        ({"size": (64, 64)}, "--size is not for segearth-ov"),
    )
    for changes, message in cases:
        with pytest.raises(UsageError, match=message) as raised:
            export(weights.request(**changes), tmp_path / "x", quiet)
        assert "\n" not in str(raised.value)
    with pytest.raises(UsageError, match="--clip is not for segclip-tiny"):
        export(Request("segclip-tiny", "fp32", clip="ViT-B-16"), tmp_path / "x", quiet)
