"""The loop itself: it learns, freezes what is frozen, and stops in one clear line."""

import copy
import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from rsseg_edge.errors import RssegError, UsageError  # noqa: E402
from rsseg_edge.training.checkpoint import LAST, MODEL, load_state  # noqa: E402
from rsseg_edge.training.loop import _groups, _learning_rate, synchronised  # noqa: E402
from rsseg_edge.training.task import SemanticTask  # noqa: E402

QUICK = {"validate_every": 1000, "checkpoint_every": 1000}


def losses(folder):
    with open(folder / "log.csv", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    monkeypatch.setattr("rsseg_edge.training.history.History.draw", lambda self: None)


def test_the_loss_of_one_crop_falls(small, tmp_path):
    crop = {"size": 64, "scale": (1.0, 1.0), "balance": 0.0, "color": 0.0, "tilt": 0.0, "blur": 0.0}
    recipe = small.small_recipe(steps=40, batch=1, lr=3e-3, backbone_lr=1.0, crop=crop, **QUICK)
    scene = small.scenes(1)[0]
    data = small.Samples([type(scene)(scene.image[:64, :64], scene.labels[:64, :64], "one")])
    small.run(tmp_path, recipe=recipe, data=[(data, 1.0)])
    curve = losses(tmp_path)
    assert sum(curve[-5:]) < 0.7 * sum(curve[:5])


def test_frozen_parts_stay_frozen(small, tmp_path):
    task = small.small_segclip()
    before = copy.deepcopy(task.state_dict())
    averaged = small.run(tmp_path, task=task, recipe=small.small_recipe(steps=3))
    backbone = [f"network.backbone.net.{part}." for part in ("conv_stem", "bn1", "blocks.0", "blocks.1")]
    frozen = ("network.text", "network.adjustment", *backbone)
    for name, tensor in task.state_dict().items():
        if name.startswith(frozen) and "running_" not in name and "num_batches" not in name:
            assert torch.equal(tensor, before[name]), name
            assert torch.equal(averaged.state_dict()[name], before[name]), name
        elif tensor.is_floating_point():
            assert not torch.equal(tensor, before[name]), name  # and everything else learns, statistics included


def test_saved_model_is_the_moving_average(small, tmp_path):
    import safetensors.torch

    task = small.small_segclip()
    averaged = small.run(tmp_path, task=task, recipe=small.small_recipe(steps=4))
    saved = safetensors.torch.load_file(tmp_path / MODEL)
    state = averaged.network.state_dict()
    assert all(torch.equal(saved[name], state[name]) for name in saved)
    assert not torch.equal(saved["decoder.classify.weight"], task.network.decoder.classify.weight)
    assert not averaged.training


def test_infinite_constants_stay_what_they_are_in_the_average():
    """As in a causal attention mask: -inf less -inf is no number."""
    from torch.optim.swa_utils import AveragedModel

    from rsseg_edge.training.loop import _moving_average

    module = torch.nn.Linear(2, 2)
    mask = torch.full((2, 2), -torch.inf).triu(1)
    module.register_buffer("mask", mask.clone(), persistent=False)
    average = AveragedModel(module, avg_fn=_moving_average(0.5), use_buffers=True)
    for _ in range(3):
        with torch.no_grad():
            module.weight.add_(1.0)
        average.update_parameters(module)
    assert torch.equal(average.module.mask, mask)
    assert (average.module.weight < module.weight).all()


def test_learning_rate_warms_up_and_decays(small):
    recipe = small.small_recipe(steps=100, warmup=10, lr=1e-3)
    rates = [_learning_rate(recipe, step) for step in range(1, 101)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == rates[9] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-5)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert _learning_rate(small.small_recipe(warmup=0), 1) <= 1e-3


def test_every_parameter_is_in_one_group_and_norms_do_not_decay(small):
    task, recipe = small.small_segclip(), small.small_recipe(backbone_lr=0.3, weight_decay=0.05)
    groups = _groups(task, recipe)
    names = {id(p): name for name, p in task.named_parameters()}
    grouped = [id(p) for g in groups for p in g["params"]]
    assert sorted(grouped) == sorted(names)
    for group in groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            assert group["factor"] == (0.3 if "backbone" in name else 1.0)
            if name.endswith(("bias", ".position", ".level")) or "norm" in name:
                assert group["weight_decay"] == 0, name


class Diverging(SemanticTask):
    """One weight; the loss or its gradient is no longer a number at step 3."""

    def __init__(self, what):
        super().__init__()
        self.network = torch.nn.Linear(1, 1)
        self.step, self.what = 0, what

    def forward(self, image, truth):
        self.step += 1
        out = self.network(image.new_ones(1, 1)).sum() ** 2
        if self.step == 3:
            # sqrt at 0 has the value 0 and an infinite slope
            out = out * torch.nan if self.what == "loss" else out + (0 * out).sqrt()
        return {"semantic": out}


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_run_that_diverges_stops_in_one_line_and_spoils_no_checkpoint(small, tmp_path, what):
    recipe = small.small_recipe(checkpoint_every=1, validate_every=100)
    with pytest.raises(RssegError, match=rf"the {what} became nan at step 3: lower the learning rate") as error:
        small.run(tmp_path, task=Diverging(what), recipe=recipe, validate=lambda task: 0.0)
    assert error.value.exit_code == 1  # the request was fine: it failed on the way
    state = load_state(tmp_path / LAST)
    assert state["step"] == 2
    assert all(torch.isfinite(t).all() for t in state["task"].values())


def test_crops_without_a_label_do_not_stop_a_run(small, tmp_path):
    blank = small.Samples(type(s)(s.image, s.labels * 0 + 255, s.name) for s in small.scenes(1))
    small.run(tmp_path, data=[(blank, 1.0)], recipe=small.small_recipe(steps=2))
    assert all(value > 0 for value in losses(tmp_path))


def test_bfloat16_trains_too(small, tmp_path):
    from lightning_fabric import Fabric

    small.run(tmp_path, fabric=Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"))
    assert all(0 < value < 1e4 for value in losses(tmp_path))


def test_a_full_disk_is_one_line(small, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rsseg_edge.training.checkpoint.torch.save", full)
    with pytest.raises(RssegError, match=r"cannot write .*last\.ckpt.*No space left on device"):
        small.run(tmp_path)
    assert not (tmp_path / LAST).exists()
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def test_synchronised_norms_keep_weights_activations_and_frozen_parts(small):
    task = small.small_segclip()
    image = torch.rand(1, 3, 64, 64) * 255
    expected = task.eval().scores(image)
    state = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    converted = synchronised(task)
    assert converted.state_dict().keys() == state.keys()
    assert not any(type(m) is torch.nn.BatchNorm2d for m in converted.modules())
    torch.testing.assert_close(converted.eval().scores(image), expected)
    stem = converted.network.backbone.net.conv_stem
    assert not stem.weight.requires_grad


DDP = """
import importlib.util, sys
from pathlib import Path
import torch
from lightning_fabric import Fabric
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("small_run", sys.argv[1])
small = importlib.util.module_from_spec(spec); spec.loader.exec_module(small)
spec = importlib.util.spec_from_file_location("loop_tests", sys.argv[2])
tests = importlib.util.module_from_spec(spec); spec.loader.exec_module(tests)
fabric = Fabric(accelerator="cpu", devices=2)
fabric.launch()
assert fabric.world_size == 2
tests.train_comparable(small, Path(sys.argv[3]), fabric)
"""


def train_comparable(small, folder, fabric=None):
    """SegCLIP with what differs between processes by design taken away, so that curves must be equal.

    BatchNorm keeps each process's own statistics on a CPU: evaluation mode here. Points are drawn by each process:
    here they do not depend on the random state. The weighted mean of the classification is each process's own, as in
    Mask2Former: equal weights here. Images have the same number of classes or not, unlabelled pixels or not.
    """
    task = small.small_segclip()
    for module in task.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    config = task.network.config
    loss = config.loss.model_copy(update={"no_object": 1.0, "guidance_noise": 0.0})
    task.network.config = config.model_copy(update={"loss": loss})

    def rand(*shape, device=None):
        generator = torch.Generator().manual_seed(shape[-2])
        return torch.empty(shape[-2:]).uniform_(generator=generator).expand(*shape).clone()

    drawn, torch.rand = torch.rand, lambda *shape, device=None: rand(*(shape[0] if len(shape) == 1 else shape))
    try:
        recipe = small.small_recipe(steps=4, batch=4, **QUICK)
        small.run(folder, task=task, recipe=recipe, fabric=fabric, validate=lambda task: 0.0)
    finally:
        torch.rand = drawn


def test_two_processes_train_as_one(small, tmp_path):
    (tmp_path / "ddp.py").write_text(DDP)
    files = [str(Path(small.__file__)), __file__, str(tmp_path / "two")]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(tmp_path / "ddp.py"), *files],
        capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    train_comparable(small, tmp_path / "one")
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=2e-5)
    ours, theirs = (load_state(tmp_path / name / LAST)["task"] for name in ("one", "two"))
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=2e-4)


def test_a_batch_that_processes_cannot_share_is_refused(small, tmp_path):
    class TwoProcesses:
        world_size = 2

    with pytest.raises(UsageError, match="a batch of 3 cannot be shared by 2 processes"):
        small.run(tmp_path, fabric=TwoProcesses(), recipe=small.small_recipe(batch=3))
