from __future__ import annotations

import importlib.util
import json
import re
import threading
from pathlib import Path

import numpy as np
import pytest

import rsseg_edge
from rsseg_edge.errors import RssegError, UsageError

_spec = importlib.util.spec_from_file_location("open_vocabulary_bundle", Path(__file__).with_name("conftest.py"))
assert _spec is not None
assert _spec.loader is not None
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)


def thirds(height: int, width: int) -> np.ndarray:
    """A red, a green and a blue third, from left to right."""
    image = np.zeros((height, width, 3), np.uint8)
    columns = np.arange(width) * 3 // width
    image[:, np.arange(width), columns] = 255
    return image


@pytest.mark.parametrize("size", [(96, 96), (40, 96), (96, 21), (33, 50), (200, 300), (7, 96)])
@pytest.mark.parametrize("fast", [False, True])
def test_every_pixel_gets_the_class_of_its_word(colors: Path, size: tuple[int, int], fast: bool) -> None:
    segmenter = rsseg_edge.load(colors)
    segmenter.fast = fast
    segmenter.set_classes(["blue,sky", "red", "green,leaf"])
    result = segmenter(thirds(*size))
    assert result.class_map.shape == result.confidence.shape == size
    expected = np.array([1, 2, 0])[np.arange(size[1]) * 3 // size[1]]
    right = (result.class_map == expected).mean()
    assert right == 1 if max(size) == 96 else right > 0.93, "only scaling may move an edge"
    assert result.classes == ("blue", "red", "green")


def test_the_bundle_names_its_own_classes_and_colours(colors: Path) -> None:
    segmenter = rsseg_edge.load(colors)
    assert segmenter.classes == ("red", "green")
    assert segmenter.table.colors[0] == (200, 0, 0)
    assert len(set(segmenter.table.colors)) == 2


def test_words_of_the_bank_are_not_encoded_and_others_once(colors: Path, cache: Path) -> None:
    segmenter = rsseg_edge.load(colors)
    assert segmenter.set_classes(["red", "Blue"]).encoded == 0
    assert segmenter.set_classes(["leaf", "red", "sky"]).encoded == 2
    assert segmenter.set_classes(["sky", "Leaf"]).encoded == 0
    assert rsseg_edge.load(colors).set_classes(["sky", "leaf"]).encoded == 0, "the cache outlives the process"
    for file in cache.rglob("*.f32"):
        file.write_bytes(b"damaged")
    assert rsseg_edge.load(colors).set_classes(["sky", "leaf"]).encoded == 2, "what is damaged is made anew"


def test_a_cache_that_cannot_be_written_costs_time_alone(colors: Path, cache: Path) -> None:
    cache.write_text("a file where the folder would be")
    segmenter = rsseg_edge.load(colors)
    segmenter.set_classes(["leaf", "red"])
    assert (segmenter(thirds(96, 96)).class_map[:, 40:60] == 0).all()


def test_what_is_below_the_threshold_is_background(colors: Path) -> None:
    segmenter = rsseg_edge.load(colors)
    segmenter.set_classes(["red", "green"], threshold=0.6)
    result = segmenter(thirds(96, 96))
    assert result.classes == ("red", "green", "background")
    assert result.table.background == 2
    assert (result.class_map == np.arange(96) // 32).all(), "blue is as far from red as from green"
    assert (result.confidence[:, 70] == 128).all()


def test_the_background_may_have_words_of_its_own(colors: Path) -> None:
    segmenter = rsseg_edge.load(colors)
    segmenter.set_classes(["red"], background="green,sky")
    result = segmenter(thirds(96, 96))
    assert result.table.names == ("red", "background")
    assert result.table.selected(None) == (0,)
    assert (result.class_map == (np.arange(96) // 32 > 0)).all()


def test_a_class_that_is_named_background_takes_what_is_below_the_threshold(colors: Path) -> None:
    words = made.write(colors.parent / "named", words=[])
    segmenter = rsseg_edge.load(words)
    with pytest.raises(UsageError, match="no classes"):
        segmenter(thirds(96, 96))
    segmenter._words._known["background"] = np.array([0, 0, 1], np.float32)
    segmenter.set_classes(["background", "red", "green"], threshold=0.5)
    result = segmenter(thirds(96, 96))
    assert (result.classes, result.table.background) == (("background", "red", "green"), 0)
    with pytest.raises(UsageError, match="not both"):
        segmenter.set_classes(["background", "red"], background="green")


def test_a_vocabulary_that_changes_a_hundred_times_is_never_mixed(colors: Path) -> None:
    segmenter = rsseg_edge.load(colors)
    vocabularies = [["red", "green", "blue"], ["blue,sky", "green", "red"], ["green", "crimson", "sky,blue"]]
    right = {
        ("red", "green", "blue"): [0, 1, 2],
        ("blue", "green", "red"): [2, 1, 0],
        ("green", "crimson", "sky"): [1, 0, 2],
    }
    for vocabulary in vocabularies:
        segmenter.set_classes(vocabulary)
    enough, changes, seen = threading.Event(), 0, set()

    def change() -> None:
        nonlocal changes
        while not enough.is_set():
            segmenter.set_classes(vocabularies[changes % 3])
            changes += 1

    changing = threading.Thread(target=change)
    image, images = thirds(96, 96), 0
    changing.start()
    while changes < 100 or images < 30:
        result = segmenter(image)
        assert (result.class_map == np.array(right[result.classes])[np.arange(96) // 32]).all()
        seen.add(result.classes)
        images += 1
    enough.set()
    changing.join()
    assert len(seen) > 1


def test_a_change_is_quick_and_opens_nothing(colors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = rsseg_edge.load(colors)
    segmenter.set_classes(["leaf", "sky"])
    monkeypatch.setattr("rsseg_edge.prompts.words.OnnxRuntimeEngine", None)  # opening a session would fail
    monkeypatch.setattr("rsseg_edge.segmenters.open_vocabulary.open_engine", None)
    assert segmenter.set_classes(["sky", "red"]).encoded == 0


@pytest.mark.parametrize(
    ("classes", "options", "message"),
    [
        ([], {}, "no classes: name at least one"),
        (["red", "green,red"], {}, "'red' is named twice"),
        ([f"word {i}" for i in range(300)], {}, "300 words in 300 classes: 256 is the maximum"),
        (["red", "a very long thing"], {}, "'a a very long thing' is too long: 5 tokens of at most 4"),
        (["red"], {"threshold": 1.5}, r"threshold 1\.5: a probability"),
    ],
)
def test_what_cannot_be_a_vocabulary_is_refused_and_the_old_one_stays(
    colors: Path, classes: list[str], options: dict[str, float], message: str
) -> None:
    segmenter = rsseg_edge.load(colors)
    with pytest.raises(UsageError, match=message) as raised:
        segmenter.set_classes(classes, **options)
    assert "\n" not in str(raised.value)
    assert segmenter.classes == ("red", "green")


def test_without_an_encoder_the_bank_is_all_that_there_is(tmp_path: Path) -> None:
    segmenter = rsseg_edge.load(made.write(tmp_path / "bank", encoder="no-such-encoder", words=["red"]))
    with pytest.raises(UsageError, match=re.escape("knows 3 words, and others only with the sentence encoder")):
        segmenter.set_classes(["red", "leaf"])


def test_a_bank_that_does_not_fit_is_named(colors: Path) -> None:
    manifest = json.loads((colors / "bundle.json").read_text())
    manifest["vocabulary"]["dim"] = 4
    (colors / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(RssegError, match=r"bundle colors: bank\.json and bank\.f16 do not fit"):
        rsseg_edge.load(colors)
