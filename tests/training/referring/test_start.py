"""``rsseg-train cris-tiny`` and ``rsseg-eval`` of what it leaves, from masks and from sentences, and their refusals."""

import json

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytest.importorskip("timm")
pytest.importorskip("open_clip")

from typer.testing import CliRunner  # noqa: E402

from rsseg_edge.cli import eval as eval_command  # noqa: E402
from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.models.cris import words  # noqa: E402
from rsseg_edge.training.referring.start import start_referring  # noqa: E402
from rsseg_edge.training.referring.task import load_referring  # noqa: E402
from rsseg_edge.training.session import Settings  # noqa: E402
from rsseg_edge.training.task import Start  # noqa: E402

TOML = """
files = [{ image = "images/{name}.png", mask = "masks/{name}.png" }]
classes = [{ name = "building", mask = [0], color = [255, 0, 0] }, { name = "land", mask = [1], color = [9, 9, 9] }]
splits = { train = { without = { name = ["c"] } }, val = { only = { name = ["c"] } } }
"""
GIVEN = """
splits = ["train", "val"]
images = "images/{image}.png"
masks = "masks/{image}.png"
phrases = "{split}.txt"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three images of two buildings each, with masks and with sentences."""
    root = tmp_path_factory.mktemp("buildings")
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for i, name in enumerate("abc"):
        labels = np.ones((96, 110), np.uint8)
        labels[10 : 40 + i, 8:50] = labels[60:80, 70 : 90 + i] = 0
        image = np.where(labels[..., None] == 0, (200, 60, 60), (120, 120, 110)).astype(np.uint8)
        cv2.imwrite(str(root / "images" / f"{name}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{name}.png"), labels)
    (root / "masks.toml").write_text(TOML)
    (root / "given.toml").write_text(GIVEN)
    (root / "train.txt").write_text("a the land around\nb open ground\n")
    (root / "val.txt").write_text("c all that is not built\n")
    return root


@pytest.fixture(autouse=True)
def no_sentence_encoder(monkeypatch):
    """Its features of six thousand words are not what is tested."""
    monkeypatch.setattr(words, "_meanings", lambda encoder, tokens, dim: torch.randn(len(tokens), dim))


def settings(folder, **overrides):
    small = {"steps": 2, "batch": 2, "sentences": 2, "validate_every": 2, "crop": {"size": 64}}
    return Settings(folder, small | overrides, seed=1, accelerator="cpu", threads=1)


FROM_NOTHING = Start(backbone_weights="")


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "_meanings", lambda encoder, tokens, dim: torch.randn(len(tokens), dim))
        start_referring("cris-tiny", str(folder / "masks.toml"), folder, settings(out), start=FROM_NOTHING)
    return out


def test_a_run_leaves_a_model_that_says_what_it_is(trained):
    assert {p.name for p in trained.iterdir()} == {"model.safetensors", "log.csv", "curves.png", "last.ckpt"}
    task, model = load_referring(trained / "model.safetensors")
    assert not task.training
    assert model.model == "cris-tiny"
    assert model.classes is None
    assert model.record["steps"] == 2
    assert 0 <= model.record["mean IoU"] <= 1
    assert model.record["data"] == "masks 100 %"
    assert model.record["split"] == "2 training images, 1 validation images"
    assert model.record["recipe"]["sentences"] == 2
    assert (trained / "log.csv").read_text().startswith("step,")


def test_given_sentences_train_too(folder, trained, tmp_path):
    start = Start(model=str(trained / "model.safetensors"))
    start_referring("cris-tiny", str(folder / "given.toml"), folder, settings(tmp_path, steps=1), start=start)
    record = load_referring(tmp_path / "model.safetensors")[1].record
    assert record["data"] == "given"
    assert record["start"]["model"] == "model.safetensors"
    assert record["start"]["record"]["steps"] == 2


def evaluate(*arguments):
    return CliRunner().invoke(eval_command.app, [str(a) for a in arguments])


def test_it_is_measured_by_kind(folder, trained):
    model = trained / "model.safetensors"
    done = evaluate(model, "--data", folder / "masks.toml", "--root", folder, "--sentences", 6, "--json")
    assert done.exit_code == 0, done.output
    scores = json.loads(done.stdout)
    assert scores["phrasings"] == "held_out"
    assert not scores["shuffled"]
    assert scores["expressions"] == sum(kind["expressions"] for kind in scores["kinds"].values()) == 6
    assert set(scores["precision"]) == {"0.5", "0.6", "0.7", "0.8", "0.9"}
    done = evaluate(model, "--data", folder / "given.toml", "--root", folder, "--shuffle")
    assert done.exit_code == 0, done.output
    assert "given phrasings, sentences shuffled" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--phrasings", "new"], "it is train or held_out"),
        (["--map", "a=b"], "has no classes: --long-side, --classes, --map and --png are not for it"),
    ],
)
def test_options_of_other_models_are_refused(folder, trained, options, message):
    done = evaluate(trained / "model.safetensors", "--data", folder / "masks.toml", "--root", folder, *options)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_sentences_are_not_made_where_some_are_given(folder, trained):
    done = evaluate(trained / "model.safetensors", "--data", folder / "given.toml", "--sentences", 3)
    assert "has sentences of its own" in str(done.exception)


@pytest.mark.parametrize(
    ("overrides", "start", "also", "message"),
    [
        ({"batch": 1, "sentences": 1}, FROM_NOTHING, (), "a batch of one sentence has no statistics"),
        ({}, Start(text_encoder="ViT-B-16"), (), "--text-encoder and --text-weights are SegCLIP's"),
        ({}, FROM_NOTHING, ("scenes:1.5",), "shares are above 0 and leave some"),
        ({}, Start(backbone_weights="none.safetensors"), (), r"vision weights 'none\.safetensors'"),
        ({}, Start(model="none.safetensors"), (), "no such file"),
    ],
)
def test_runs_that_cannot_be_are_refused(folder, tmp_path, overrides, start, also, message):
    with pytest.raises(UsageError, match=message):
        start_referring(
            "cris-tiny", str(folder / "masks.toml"), folder, settings(tmp_path, **overrides), start=start, also=also
        )


def test_a_backbone_of_our_own_checkpoints_is_taken_over(folder, trained):
    from rsseg_edge.training.referring.task import build_referring

    file = trained / "model.safetensors"
    ours = build_referring("cris-tiny", backbone_weights=str(file)).network.vision.state_dict()
    theirs = load_referring(file)[0].network.vision.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
