"""A whole run: it resumes exactly, and what it leaves loads as SegEarth-OV's upsampler weights."""

import csv

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from rsseg_edge.errors import RssegError, UsageError  # noqa: E402
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp  # noqa: E402
from rsseg_edge.models.segearth_ov.weights import load_upsampler_state  # noqa: E402
from rsseg_edge.training.checkpoint import LAST, MODEL, load_state, read_model  # noqa: E402
from rsseg_edge.training.session import Settings  # noqa: E402
from rsseg_edge.training.simfeatup import start  # noqa: E402
from rsseg_edge.training.simfeatup.crops import ImageCrops, find_images  # noqa: E402
from rsseg_edge.training.simfeatup.features import FrozenFeatures  # noqa: E402


class Killed(BaseException):
    """As abrupt as SIGKILL for what is under test: nothing catches it."""


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    monkeypatch.setattr("rsseg_edge.training.history.History.draw", lambda self: None)


@pytest.fixture(scope="module")
def uninterrupted(toy, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rsseg_edge.training.history.History.draw", lambda self: None)
        toy.run(folder, images)
    return folder


def curve(folder):
    with open(folder / "log.csv", newline="") as file:
        return [(row["step"], row["loss"], row["gain over bilinear"]) for row in csv.DictReader(file)]


def test_a_killed_run_goes_on_as_if_nothing_had_happened(toy, images, uninterrupted, tmp_path):
    def stop(step, loss, score):
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        toy.run(tmp_path, images, progress=stop)
    toy.run(tmp_path, images)
    assert curve(tmp_path) == curve(uninterrupted)
    ours, theirs = (safetensors.load_file(folder / MODEL) for folder in (tmp_path, uninterrupted))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_transformer_is_not_in_the_checkpoint(uninterrupted):
    names = load_state(uninterrupted / LAST)["average"].keys()
    assert {name.split(".")[1] for name in names if "." in name} == {"network", "downsampler", "uncertainty", "painter"}


def test_what_it_leaves_are_upsampler_weights(toy, uninterrupted):
    state = load_upsampler_state(uninterrupted / MODEL)
    upsampler = SimFeatUp.from_official(state, "jbu_stack")
    assert upsampler.channels == toy.CHANNELS
    assert {"up1.range_temp", "up4.fixup_proj.3.weight", "fixup_proj.1.bias"} <= state.keys()
    _, trained = read_model(uninterrupted / MODEL)
    assert (trained.model, trained.classes) == ("simfeatup", None)
    assert trained.record["gain over bilinear"] == pytest.approx(float(curve(uninterrupted)[-1][2]), abs=1e-5)


def test_the_checkpoint_of_another_upsampler_is_refused(toy, images, uninterrupted, tmp_path):
    (tmp_path / LAST).write_bytes((uninterrupted / LAST).read_bytes())
    with pytest.raises(RssegError, match=r"does not hold a run of this model.*--restart"):
        toy.run(tmp_path, images, task=toy.small_task("jbu_one"))


def test_the_command_from_folder_to_weights(toy, images, tmp_path, monkeypatch):
    monkeypatch.setattr(
        start, "load_features", lambda clip, weights: FrozenFeatures(f"{clip} {weights}", toy.ToyViT(), 64)
    )
    monkeypatch.setattr(start, "VALIDATED", 1)
    settings = Settings(tmp_path, {"steps": 1, "batch": 1}, accelerator="cpu")
    start.start_simfeatup(images[0].parent, settings, clip="toy", clip_weights="none", upsampler="jbu_stack")
    weights, trained = read_model(tmp_path / MODEL)
    assert weights["fixup_proj.1.weight"].shape == (toy.CHANNELS, toy.CHANNELS)
    assert trained.record["recipe"]["optimizer"] == "nadam"
    assert trained.record["recipe"]["crop"]["size"] == 64  # inference's
    assert trained.record["data"] == "images: 6 images; jbu_stack for features of toy none"
    assert trained.record["split"] == "5 training images, 1 held out"


def test_mistakes_are_named(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(start, "load_features", lambda clip, weights: FrozenFeatures("toy", toy.ToyViT(), 64))
    with pytest.raises(UsageError, match="unknown upsampler 'jbu': there are jbu_one, jbu_stack"):
        start.start_simfeatup(tmp_path, Settings(tmp_path, {}), upsampler="jbu")
    with pytest.raises(UsageError, match="0 images; at least one to train on"):
        start.start_simfeatup(tmp_path, Settings(tmp_path, {}))
    with pytest.raises(UsageError, match="gone: not a folder"):
        find_images(tmp_path / "gone")


def test_crops_depend_on_seed_and_number_alone_and_reflect_small_images(toy, images, tmp_path):
    (tmp_path / "deep").mkdir()
    small = toy.write_images(tmp_path / "deep", 1)[0]
    (tmp_path / "notes.txt").write_text("no image")
    training, held_out = find_images(images[0].parent)
    assert (len(training), len(held_out)) == (5, 1)
    assert not set(training) & set(held_out)
    with pytest.raises(UsageError, match="1 images"):
        find_images(tmp_path)
    crops = ImageCrops([small], 112, 0)
    assert crops.crop(3).shape == (3, 112, 112)
    np.testing.assert_array_equal(crops.crop(3), ImageCrops([small], 112, 0).crop(3))
    whole = next(ImageCrops(images, 48, 1).batches(4, 2, 3))[0]
    halves = [next(ImageCrops(images, 48, 1).batches(4, 2, 3, rank, 2))[0] for rank in (0, 1)]
    assert torch.equal(whole, torch.stack((halves[0], halves[1]), 1).flatten(0, 1))
