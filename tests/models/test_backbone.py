"""Backbone: strides, ImageNet weights in order, frozen parts."""

import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.models.segclip.backbone import Backbone, weights_file  # noqa: E402
from rsseg_edge.models.segclip.config import load_config  # noqa: E402

CONFIG = load_config("segclip-tiny").backbone
PACKAGE = CONFIG.weights

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE.replace("-", "_")) is None, reason=f"{PACKAGE} is not installed"
)


@pytest.fixture(scope="module")
def backbone():
    return Backbone(CONFIG, pretrained=True)


@needs_weights
def test_the_packages_296_tensors_are_timms_in_order():
    theirs = torch.load(weights_file(PACKAGE), map_location="cpu", weights_only=True)
    ours = timm.create_model(CONFIG.name, pretrained=False).state_dict()
    assert len(theirs) == len(ours) == 296
    assert [t.shape for t in theirs.values()] == [t.shape for t in ours.values()]
    last = [name.rsplit(".", 1)[-1] for name in theirs]  # weight, bias, running_mean, ...
    assert last == [name.rsplit(".", 1)[-1] for name in ours]


@needs_weights
def test_activations_have_the_statistics_that_the_weights_were_trained_for(backbone):
    """What reaches a BatchNorm has the mean and variance that it recorded: in a wrong order they would not."""
    from rsseg_edge.datasets.scenes import generate_scene

    images = torch.stack([torch.from_numpy(generate_scene(s, 224, 224).image) for s in range(4)])
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (CONFIG.mean, CONFIG.std))
    ratios = []

    def record(module, inputs):
        alive = module.running_var > 1e-2  # some channels of the trained network are dead
        actual = inputs[0].var((0, 2, 3))[alive].clamp(min=1e-6)
        ratios.append(float((actual / module.running_var[alive]).log().abs().median()))

    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    hooks = [m.register_forward_pre_hook(record) for m in norms]
    with torch.no_grad():
        features = backbone.eval()((images.permute(0, 3, 1, 2).float() / 255 - mean) / std)
    for hook in hooks:
        hook.remove()
    assert all(torch.isfinite(f).all() for f in features)
    assert len(ratios) == len(norms)
    assert sum(ratios) / len(ratios) < 0.6  # natural logarithms: 0.36 here


def test_features_have_strides_4_to_32(backbone):
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, 96, 160))
    assert [f.shape[1] for f in features] == backbone.channels
    assert [tuple(f.shape[2:]) for f in features] == [(24, 40), (12, 20), (6, 10), (3, 5)]


def test_frozen_weights_stay_and_all_else_learns():
    backbone = Backbone(CONFIG, pretrained=False).train()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        sum(f.square().mean() for f in backbone.train()(torch.randn(2, 3, 64, 64))).backward()
        optimizer.step()
    changed = {name for name, tensor in backbone.state_dict().items() if not torch.equal(tensor, before[name])}
    to_stride_4 = ("net.conv_stem.", "net.bn1.", "net.blocks.0.", "net.blocks.1.")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    frozen = {n for n in before if n.startswith(to_stride_4) and not n.endswith(statistics)}
    assert not changed & frozen
    assert {n for n in before if n.endswith("running_mean")} <= changed  # statistics go on following the data
    assert {n for n in before if n.endswith("conv_pw.weight") and n not in frozen} <= changed
    assert {p for name, p in backbone.named_parameters() if not p.requires_grad} == {
        p for name, p in backbone.named_parameters() if name.startswith(to_stride_4)
    }


def test_without_freezing_everything_learns():
    backbone = Backbone(CONFIG.model_copy(update={"freeze_to_stride_4": False}), pretrained=False).train()
    assert all(p.requires_grad for p in backbone.parameters())
    assert all(m.training for m in backbone.modules())


def test_wrong_weights_are_refused(tmp_path: Path):
    def load(name):
        return Backbone(CONFIG.model_copy(update={"weights": str(name)}), pretrained=True)

    text = tmp_path / "notes.pt"
    text.write_text("not weights")
    with pytest.raises(UsageError, match="nor a PyTorch state dict"):
        load(text)
    listing = tmp_path / "list.pt"
    torch.save([torch.zeros(2)], listing)
    with pytest.raises(UsageError, match="nor a PyTorch state dict"):
        load(listing)
    other = tmp_path / "other.pt"
    torch.save(timm.create_model("resnet18", pretrained=False).state_dict(), other)
    with pytest.raises(UsageError, match="shapes"):
        load(other)
    short = tmp_path / "short.pt"
    torch.save({"conv_stem.weight": torch.zeros(32, 3, 3, 3)}, short)
    with pytest.raises(UsageError, match="shapes"):
        load(short)
    with pytest.raises(UsageError, match="pip install no-such-weights"):
        load("no-such-weights")
