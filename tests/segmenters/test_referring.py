"""A referring bundle whose answers are known: a sentence's second word is a colour, its mask the pixels of it."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

import rsseg_edge
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.temporal.segmenter import Steadiness, TemporalSegmenter

SIDE, LENGTH = 64, 6
COLORS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "pink": (1, 0, 0)}
GAIN = {"pink": 4.0}  # less sure of the same pixels


def graphs(vocabulary: dict[str, int]) -> dict[str, bytes]:
    from onnx import TensorProto, helper, numpy_helper

    def value(name: str, kind: int, shape: list) -> object:
        return helper.make_tensor_value_info(name, kind, shape)

    def model(nodes: list, inputs: list, output: object, **constants: np.ndarray) -> bytes:
        initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
        graph = helper.make_graph(nodes, "test", inputs, [output], initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()

    rows = np.zeros((len(vocabulary), 3), np.float32)
    for word, color in COLORS.items():
        rows[vocabulary[word]] = np.array(color) * GAIN.get(word, 20.0)
    wanted = value("wanted", TensorProto.FLOAT, ["sentences", 3])
    text = model(
        [
            helper.make_node("Gather", ["tokens", "second"], ["word"], axis=1),
            helper.make_node("Gather", ["rows", "word"], ["wanted"], axis=0),
        ],
        [value("tokens", TensorProto.INT64, ["sentences", LENGTH])],
        wanted,
        rows=rows,
        second=np.array(1, np.int64),
    )
    level = value("level", TensorProto.FLOAT, [1, 3, SIDE // 4 * SIDE // 4])
    vision = model(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["float", "scale"], ["unit"]),
            helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("AveragePool", ["planes"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Reshape", ["pooled", "shape"], ["level"]),
        ],
        [value("image", TensorProto.UINT8, [1, SIDE, SIDE, 3])],
        level,
        scale=np.array(255, np.float32),
        shape=np.array([1, 3, -1], np.int64),
    )
    fusion = model(
        [
            helper.make_node("Squeeze", ["level", "zero"], ["flat"]),
            helper.make_node("MatMul", ["wanted", "flat"], ["score"]),
            helper.make_node("Reshape", ["score", "shape"], ["square"]),
            helper.make_node("Sub", ["square", "half"], ["mask_logits"]),
        ],
        [level, wanted],
        value("mask_logits", TensorProto.FLOAT, ["sentences", SIDE // 4, SIDE // 4]),
        zero=np.array([0], np.int64),
        shape=np.array([-1, SIDE // 4, SIDE // 4], np.int64),
        half=np.array(3, np.float32),
    )
    return {"text.onnx": text, "vision.onnx": vision, "fusion.onnx": fusion}


def tokenizer(vocabulary: dict[str, int]) -> bytes:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    native = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    native.normalizer = normalizers.Lowercase()
    native.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    native.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return native.to_str().encode()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "colors"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "the", "water", "on", "left", *COLORS, "[SEP]"]
    vocabulary = {word: i for i, word in enumerate(words)}
    files = {**graphs(vocabulary), "tokenizer.json": tokenizer(vocabulary)}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = {
        "schema_version": 1,
        "name": "colors",
        "model": "colors",
        "task": "referring",
        "config": {},
        "input": {"height": SIDE, "width": SIDE, "border": [0, 0, 0]},
        "referring": {"size": SIDE, "max_words": LENGTH, "threshold": 0.35},
        "precision": {"name": "fp32"},
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def segmenter(bundle: Path):
    made = rsseg_edge.load(bundle, threads=1)
    yield made
    made.close()


def halves(height: int, width: int) -> np.ndarray:
    """Red on the left, green on the right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = image[:, width // 2 :, 1] = 255
    return image


@pytest.mark.parametrize("size", [(64, 64), (40, 90), (91, 33), (200, 300)])
def test_each_sentence_gets_its_pixels(segmenter, size: tuple[int, int]) -> None:
    assert segmenter.refer(["green", "red"]) == ()
    result = segmenter(halves(*size))
    assert result.classes == ("background", "green", "red")
    assert len(set(result.colors)) == 3
    assert result.class_map.shape == result.confidence.shape == size
    assert result.masks.shape == (2, *size)
    right = np.arange(size[1]) >= size[1] // 2
    assert (result.masks[0] == right).mean() > 0.9
    assert (result.masks[1] == ~right).mean() > 0.9
    assert (result.class_map == np.where(right, 1, 2)).mean() > 0.9
    assert result.confidence[size[0] // 2, 2] > 230


def test_where_masks_overlap_the_likelier_is_shown_and_both_are_counted(segmenter) -> None:
    segmenter.refer(["pink", "red"])
    result = segmenter(halves(64, 64))
    assert result.masks[:, :, :24].all()
    assert (result.class_map[:, :24] == 2).all(), "red is the surer of them"
    background, pink, red = result.pixel_counts()
    assert min(pink, red) > 64 * 24
    assert background > 64 * 24
    assert (result.class_map[:, 40:] == 0).all()
    assert result.confidence[32, 60] > 200, "sure that none of them is meant"


def test_nothing_of_it_in_the_image_is_an_empty_mask(segmenter) -> None:
    segmenter.refer(["blue"])
    result = segmenter(halves(64, 64))
    assert not result.masks.any()
    assert result.pixel_counts().tolist() == [64 * 64, 0]


def test_many_sentences_are_fused_in_parts(segmenter) -> None:
    colors = ["red", "green", "blue"]
    sentences = [f"{colors[i % 3]} {'water ' * (i // 3)}".strip() for i in range(11)]
    segmenter.refer(sentences)
    result = segmenter(halves(64, 64))
    shares = result.masks.mean((1, 2))
    for index, share in enumerate(shares):
        assert share == pytest.approx(0 if index % 3 == 2 else 0.5, abs=0.06), sentences[index]


def test_sentences_change_between_frames_and_never_within_one(segmenter) -> None:
    segmenter.refer(["red"])
    raw = segmenter.infer(segmenter.prepare(halves(64, 64)))
    segmenter.refer(["green", "blue"])
    assert segmenter.finish(halves(64, 64), raw).classes == ("background", "red")
    assert segmenter(halves(64, 64)).classes == ("background", "green", "blue")


def test_another_thread_may_ask(segmenter) -> None:
    sets = (["red"], ["green", "blue"], ["blue", "red", "green"])
    segmenter.refer(sets[0])
    stop = threading.Event()

    def ask() -> None:
        turn = 0
        while not stop.is_set():
            segmenter.refer(sets[turn % 3])
            turn += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(30):
            result = segmenter(halves(32, 32))
            names = result.classes[1:]
            assert list(names) in [list(s) for s in sets]
            assert len(result.masks) == len(names)
            for name, mask in zip(names, result.masks, strict=True):
                assert mask.any() == (name != "blue"), names
    finally:
        stop.set()
        thread.join()


def test_a_sentence_is_encoded_once(segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    infer = segmenter._text.infer
    monkeypatch.setattr(segmenter._text, "infer", lambda *a, **k: calls.append(1) or infer(*a, **k))
    segmenter.refer(["red", "green"])
    segmenter.refer(["green", "red", "blue"])
    assert len(calls) == 3


def test_a_long_sentence_is_cut_and_where_is_said(segmenter) -> None:
    (note,) = segmenter.refer(["red water on the left on the left", "green"])
    assert "6 tokens" in note
    assert "cut after '...red water on the'" in note
    assert segmenter(halves(64, 64)).masks[0].mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ([], "no sentence: .*--refer"),
        (["red", "  "], "sentence 2 is empty"),
        (["red", " red"], "stands twice"),
        (["вода слева"], r"sentence 1: '\\u0432' is no letter of English"),
        (["the water \udcff"], "is no letter of English"),
        (["the\x00water"], "is no letter of English"),
        (["?!"], "has no word in it"),
        (["background"], "no sentence refers to"),
        ([f"red {i}" for i in range(255)], "255 sentences"),
    ],
)
def test_what_cannot_be_asked_is_said_and_changes_nothing(segmenter, sentences: list[str], message: str) -> None:
    segmenter.refer(["green"])
    with pytest.raises(UsageError, match=message):
        segmenter.refer(sentences)
    assert segmenter.classes == ("background", "green")


def test_no_sentence_yet(segmenter) -> None:
    with pytest.raises(UsageError, match="--refer"):
        segmenter(halves(64, 64))


def test_accents_and_quotes_are_no_obstacle(segmenter) -> None:
    assert segmenter.refer(["caf\u00e9\u2019s roof"]) == ()


def test_a_long_side_makes_no_sense(bundle: Path) -> None:
    with pytest.raises(UsageError, match="at 64 pixels"):
        rsseg_edge.load(bundle, long_side=128)


def test_a_damaged_graph_is_refused(bundle: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    (copy / "fusion.onnx").write_bytes(b"no graph")
    with pytest.raises(RssegError, match=r"fusion.onnx does not match its checksum"):
        rsseg_edge.load(copy)


# rsseg-run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path):
    import signal
    import sys

    from rsseg_edge.cli.run import main

    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def call(*arguments: object) -> tuple[int, str, str]:
        given = [str(a) for a in arguments]
        given += ["--model", str(bundle)] if "--model" not in given else []
        monkeypatch.setattr(sys, "argv", ["rsseg-run", *given, "-o", str(tmp_path / "out")])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    yield call
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    import cv2

    path = tmp_path / "a.png"
    cv2.imwrite(str(path), halves(60, 80)[..., ::-1])
    return path


def test_run_draws_and_counts_each_sentence(run, picture: Path, tmp_path: Path) -> None:
    import cv2

    code, _, errors = run(picture, "--refer", "red water", "--refer", "blue", "--alpha", "1")
    assert code == 0
    assert [line.split()[:2] for line in errors.splitlines()] == [["engine:", "onnxruntime"]]
    (line,) = [json.loads(line) for line in (tmp_path / "out" / "frames.jsonl").read_text().splitlines()]
    assert list(line["classes"]) == ["red water", "blue"]
    assert line["classes"]["red water"]["share"] == pytest.approx(0.5, abs=0.06)
    assert line["classes"]["blue"]["pixels"] == 0
    drawn, before = cv2.imread(str(tmp_path / "out" / "a.overlay.png")), cv2.imread(str(picture))
    assert (drawn[50:, 60:] == before[50:, 60:]).all(), "the background stays as it is"
    assert (drawn[50:, :20] != before[50:, :20]).any(2).all()


def test_run_warns_of_a_cut_sentence_and_goes_on(run, picture: Path) -> None:
    code, _, errors = run(picture, "--refer", "red water on the left on the left")
    assert code == 0
    told = [line for line in errors.strip().splitlines() if not line.startswith("engine: ")]
    assert told == ["warning: the network reads 6 tokens: cut after '...red water on the'"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no sentence: say what to segment"),
        (("--refer", ""), "sentence 1 is empty"),
        (("--refer", "red", "--classes", "a; b"), "open-vocabulary models"),
        (("--refer", "red", "--long-side", "320"), "at 64 pixels"),
        (("--refer", "red", "--model", "segclip-tiny"), "reads no sentences"),
    ],
)
def test_run_says_what_is_wrong_in_one_line(run, picture: Path, arguments: tuple[str, ...], message: str) -> None:
    code, _, errors = run(picture, *arguments)
    assert code == 2
    *told, line = errors.strip().splitlines()
    assert message in line
    assert all(other.startswith("precision: int8") for other in told)  # of segclip-tiny, on a CPU with VNNI


def test_it_runs_where_the_lab_is_not_installed(bundle: Path, picture: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "for name in ('torch', 'timm', 'open_clip', 'transformers', 'onnx', 'onnxscript', 'scipy', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
        "from rsseg_edge.cli.run import main; main()"
    )
    command = [sys.executable, "-I", "-c", code, str(picture), "--model", str(bundle), "--refer", "red"]
    done = subprocess.run([*command, "-o", str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a.overlay.png").exists()


@pytest.mark.parametrize(("height", "width"), [(40, 100), (131, 57)])
def test_masks_follow_the_motion_between_key_frames(segmenter, height: int, width: int) -> None:
    segmenter.refer(["the red", "the green"])
    wide = halves(height, width + 3)
    wide[..., 2] = cv2.blur(np.random.default_rng(0).integers(0, 255, wide.shape[:2], np.uint8), (5, 5))
    images = [np.ascontiguousarray(wide[:, i : i + width]) for i in range(4)]
    steady = TemporalSegmenter(segmenter, Steadiness(keyframes=4))
    results = [steady(image) for image in images]
    assert [result.keyframe for result in results] == [True, False, False, False]
    for image, result in zip(images, results, strict=True):
        alone = segmenter(image)
        assert result.table is alone.table
        assert (result.masks == alone.masks).mean() > 0.96
    segmenter.refer(["the red"])
    assert steady(images[3]).keyframe is True
