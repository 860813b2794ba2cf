"""CLIP and upsampler weights from files of every kind that they are published in."""

import json

import pytest

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")
safetensors_torch = pytest.importorskip("safetensors.torch")

from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp  # noqa: E402
from rsseg_edge.models.segearth_ov.weights import load_clip, load_upsampler_state  # noqa: E402

SMALL = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}
WIDE = SMALL | {"vision_cfg": SMALL["vision_cfg"] | {"width": 128}}


@pytest.fixture(scope="module", autouse=True)
def small_models(tmp_path_factory):
    """Models that open_clip knows by name, as it knows ViT-B-16."""
    folder = tmp_path_factory.mktemp("models")
    for name, config in (("small", SMALL), ("wide", WIDE)):
        (folder / f"rsseg-test-{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    clip = open_clip.CLIP(**SMALL, quick_gelu=True).eval().requires_grad_(False)
    return clip.half().float()  # OpenAI publishes half precision


def save(clip, kind, folder):
    state = clip.state_dict()
    if kind == "safetensors":
        safetensors_torch.save_file(state, folder / "clip.safetensors")
    elif kind == "state dict":
        torch.save(state, folder / "clip.pt")
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, folder / "clip.ckpt")
    return str(next(folder.iterdir()))


@pytest.mark.parametrize("kind", ["safetensors", "state dict", "training checkpoint"])
def test_files_load_as_they_are_published(clip, tmp_path, kind):
    model, tokenizer = load_clip("rsseg-test-small", save(clip, kind, tmp_path))
    theirs = model.state_dict()
    for key, tensor in clip.state_dict().items():
        torch.testing.assert_close(theirs[key], tensor)
    assert tokenizer(["a"]).shape == (1, 77)


def test_a_checkpoint_of_another_width_is_refused_in_a_line(clip, tmp_path):
    file = save(clip, "state dict", tmp_path)
    with pytest.raises(UsageError, match=r"size mismatch for visual") as raised:
        load_clip("rsseg-test-wide", file)
    assert "\n" not in str(raised.value)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_torchscript_is_code_and_is_not_run(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "clip.pt")
    with pytest.raises(UsageError, match=r"clip\.pt: a TorchScript archive is code, and not run"):
        load_clip("rsseg-test-small", str(tmp_path / "clip.pt"))


def test_what_cannot_be_loaded_is_named(tmp_path):
    with pytest.raises(UsageError, match="open_clip has no model 'ViT-Z-1'"):
        load_clip("ViT-Z-1", "openai")
    (tmp_path / "notes.pt").write_text("not a checkpoint")
    for weights in ("no-such-tag", str(tmp_path / "notes.pt"), ""):
        with pytest.raises(UsageError, match=f"rsseg-test-small with weights '{weights}' cannot be loaded") as raised:
            load_clip("rsseg-test-small", weights)
        assert "\n" not in str(raised.value)


def test_upsampler_is_found_in_a_training_checkpoint(tmp_path):
    state = SimFeatUp(8, "jbu_stack").state_dict()
    others = {"downsampler.w": torch.zeros(2)}
    torch.save({"state_dict": {f"upsampler.{k}": v for k, v in state.items()} | others}, tmp_path / "a.ckpt")
    safetensors_torch.save_file(state, tmp_path / "b.safetensors")
    for name in ("a.ckpt", "b.safetensors"):
        loaded = load_upsampler_state(tmp_path / name)
        assert loaded.keys() == state.keys()
        SimFeatUp.from_official(loaded, "jbu_stack")


def test_a_file_without_an_upsampler_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pt")
    (tmp_path / "notes.pt").write_text("not a checkpoint")
    for name, message in (
        ("absent.pt", "no such file"),
        ("other.pt", "no upsampler"),
        ("notes.pt", "neither safetensors nor a PyTorch state dict"),
    ):
        with pytest.raises(UsageError, match=message):
            load_upsampler_state(tmp_path / name)
