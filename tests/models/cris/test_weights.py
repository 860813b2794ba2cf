"""Weights of others: the authors' checkpoints and CLIP's, and what does not fit."""

import re

import pytest

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")
from safetensors.torch import save_file  # noqa: E402

from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.models.cris.config import load_config  # noqa: E402
from rsseg_edge.models.cris.network import CRIS  # noqa: E402
from rsseg_edge.models.cris.official import official_config  # noqa: E402

CFG = {
    "word_len": 17,
    "fpn_in": [512, 1024, 1024],
    "fpn_out": [256, 512, 1024],
    "num_layers": 3,
    "vis_dim": 512,
    "num_head": 8,
    "dim_ffn": 2048,
    "dropout": 0.1,
    "intermediate": False,
    "word_dim": 1024,
}
CLIP = {
    "embed_dim": 1024,
    "image_resolution": 224,
    "vision_layers": [3, 4, 6, 3],
    "vision_width": 64,
    "context_length": 77,
    "txt_length": 17,
    "transformer_width": 512,
    "transformer_heads": 8,
    "transformer_layers": 12,
}


@pytest.fixture(scope="module")
def clip(small_config):
    """open_clip's own model of the small sizes."""
    config = small_config.clip
    torch.manual_seed(5)
    return open_clip.model.CLIP(
        config.embed_dim,
        {**config.vision.model_dump(), "patch_size": None},
        config.text.model_dump(exclude={"words"}),
        quick_gelu=True,
    ).eval()


def with_weights(config, path, name=""):
    return config.model_copy(update={"clip": config.clip.model_copy(update={"weights": str(path), "name": name})})


@pytest.mark.parametrize("kind", ["clip.safetensors", "clip.pt", "training.pt"])
def test_clip_is_loaded_from_a_file(tmp_path, small_config, clip, kind):
    state, file = clip.state_dict(), tmp_path / kind
    if kind == "clip.safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)
    elif kind == "clip.pt":
        torch.save(state, file)
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, file)
    network = CRIS(with_weights(small_config, file)).eval()
    ours = network.state_dict()
    for name, tensor in state.items():
        if name != "logit_scale":
            ours_name = f"vision.net.{name[7:]}" if name.startswith("visual.") else f"text.net.{name}"
            assert torch.equal(ours[ours_name], tensor), name
    words = torch.tensor([[98, 3, 4, 99, *[0] * 8]])
    with torch.no_grad():
        torch.testing.assert_close(network.text(words[:, :9])[1], clip.encode_text(words))


def test_open_clip_models_have_the_published_sizes():
    """What open_clip loads by name has a place for every tensor, and no other shape."""
    from rsseg_edge.models.cris.pretrained import _rename

    for name in ("cris", "cris-r101"):
        config = load_config(name)
        with torch.device("meta"):
            theirs = open_clip.create_model(f"{config.clip.name}-quickgelu", device="meta").state_dict()
            ours = CRIS(config, pretrained=False).state_dict()
        shapes = {_rename(key): tensor.shape for key, tensor in theirs.items() if key != "logit_scale"}
        encoders = {k: t.shape for k, t in ours.items() if not k.startswith("fusion.") and ".connect." not in k}
        assert shapes == encoders


def test_clip_files_that_are_of_no_use(tmp_path, small_config, clip):
    def load(path, name=""):
        return CRIS(with_weights(small_config, path, name))

    with pytest.raises(UsageError, match=r"CLIP weights .*none\.pt: no such file"):
        load(tmp_path / "none.pt")
    for name in ("notes.pt", "notes.safetensors"):
        (tmp_path / name).write_text("not weights")
        with pytest.raises(UsageError, match=f"{re.escape(name)}: neither safetensors nor a PyTorch state dict"):
            load(tmp_path / name)
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(UsageError, match="neither safetensors nor a PyTorch state dict"):
        load(tmp_path / "list.pt")
    larger = {**clip.state_dict(), "ln_final.bias": torch.zeros(48)}
    torch.save(larger, tmp_path / "larger.pt")
    with pytest.raises(UsageError, match=r"of another size: ln_final\.bias is \[48\], not \[32\]"):
        load(tmp_path / "larger.pt")
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(UsageError, match="of another network"):
        load(tmp_path / "other.pt")
    with pytest.raises(UsageError, match="CLIP weights 'openai' of RN51 cannot be had"):
        load("openai", "RN51")


def test_official_settings_are_the_published_configuration():
    ours, theirs = load_config("cris"), official_config(CFG, CLIP)
    assert theirs.neck == ours.neck
    assert theirs.decoder == ours.decoder
    assert (theirs.word_length, theirs.clip.vision, theirs.clip.text) == (17, ours.clip.vision, ours.clip.text)


@pytest.mark.parametrize(
    ("cfg", "clip", "message"),
    [
        ({"vis_dim": 256}, {}, "CRIS settings: vis_dim is 256, but CLIP and neck make it 512"),
        ({"word_dim": 512}, {}, "CRIS settings: word_dim is 512, but CLIP and neck make it 1024"),
        ({}, {"embed_dim": 512}, "CRIS settings: fpn_in is"),
        ({"num_head": 7}, {}, "512 channels must be a multiple of 4, of 7 and of 8 heads"),
        ({}, {"vision_layers": 12}, "CRIS settings"),
        ({"word_len": None}, {}, "CRIS settings, word_length: Input should be a valid integer"),
        ({"num_layers": ...}, {}, "CRIS settings lack 'num_layers'"),
    ],
)
def test_official_settings_that_cannot_be_are_refused(cfg, clip, message):
    with pytest.raises(UsageError, match=re.escape(message)) as error:
        official_config({k: v for k, v in {**CFG, **cfg}.items() if v is not ...}, {**CLIP, **clip})
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_another_size_is_refused():
    state = {"module.backbone.visual.conv1.weight": torch.zeros(48, 3, 3, 3)}
    with (
        torch.device("meta"),
        pytest.raises(
            UsageError,
            match=r"CRIS checkpoint is of another size: module\.backbone.* is \[48, 3, 3, 3\], not \[32, 3, 3, 3\]",
        ),
    ):
        CRIS.from_official(state, cfg=CFG, clip=CLIP)


def test_a_state_dict_of_another_network_is_refused():
    with torch.device("meta"), pytest.raises(UsageError, match="CRIS checkpoint is of another network"):
        CRIS.from_official({"conv1.weight": torch.zeros(64, 3, 7, 7)}, cfg=CFG, clip=CLIP)
