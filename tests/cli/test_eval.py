"""``rsseg-eval`` with a real bundle through its engine: its class is the strongest channel of a pixel."""

import hashlib
import json
import subprocess
import sys
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rsseg_edge.cli import eval as command
from rsseg_edge.evaluation import subject

onnx = pytest.importorskip("onnx")

TOML = """
classes = [
    { name = "blue", mask = [3], color = [0, 0, 255] },
    { name = "red", mask = [1], color = [255, 0, 0] },
    { name = "green", mask = [2], color = [0, 255, 0] },
]
ignore = [0]
files = [{ image = "images/{name}.png", mask = "masks/{name}.png" }]
[splits]
val = {}
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle with the classes red, green, blue."""
    folder = tmp_path_factory.mktemp("strongest-channel")
    helper, kind = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=kind.FLOAT),
        helper.make_node("ArgMax", ["float"], ["best"], axis=3, keepdims=0),
        helper.make_node("Cast", ["best"], ["class_map"], to=kind.UINT8),
        helper.make_node("ReduceMax", ["float"], ["top"], axes=[3], keepdims=0),
        helper.make_node("Cast", ["top"], ["confidence"], to=kind.UINT8),
    ]
    size = [1, "h", "w"]
    outputs = [helper.make_tensor_value_info(name, kind.UINT8, size) for name in ("class_map", "confidence")]
    image = helper.make_tensor_value_info("image", kind.UINT8, [*size, 3])
    graph = helper.make_graph(nodes, "strongest", [image], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    classes = [
        {"name": n, "color": c} for n, c in (("red", (255, 0, 0)), ("green", (0, 255, 0)), ("blue", (0, 0, 255)))
    ]
    manifest = {
        "name": "strongest",
        "model": "segclip-tiny",
        "config": {},
        "classes": classes,
        "input": {},
        "precision": {"name": "fp32"},
        "files": {"model.onnx": hashlib.sha256(content).hexdigest()},
    }
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def data(tmp_path):
    """Three images of odd sizes; in the last, a fifth of the labels is wrong."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name, (height, width) in {"a": (33, 47), "b": (64, 32), "c": (50, 50)}.items():
        channel = rng.integers(0, 3, (height, width))
        image = np.eye(3, dtype=np.uint8)[channel] * 200 + 20
        mask = (channel + 1).astype(np.uint8)
        mask[0] = 0
        if name == "c":
            mask[-10:] = channel[-10:] % 3 + 1
            mask[-10:] = mask[-10:] % 3 + 1
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), image[..., ::-1])
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), mask)
    (tmp_path / "own.toml").write_text(TOML)
    return tmp_path


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command in this process: exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rsseg-eval", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            command.main()
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return run


def test_json_holds_the_figures_of_a_bundle_through_its_engine(call, bundle, data):
    code, out, err = call(bundle, "--data", data / "own.toml", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    labelled = 32 * 47 + 63 * 32 + 49 * 50
    assert report["overall_accuracy"] == pytest.approx(1 - 10 * 50 / labelled)
    assert list(report["iou"]) == ["blue", "red", "green"]
    assert report["images"] == 3
    assert report["split"] == "val"


def test_table_and_picture(call, bundle, data):
    pytest.importorskip("matplotlib")
    code, out, _ = call(bundle, "--data", data / "own.toml", "--png", data / "m.png", "--max-images", 1)
    assert code == 0
    assert "100.0" in out
    assert "overall accuracy" in out
    assert cv2.imread(str(data / "m.png")) is not None


def test_a_class_that_the_model_lacks_is_one_line_and_map_settles_it(call, bundle, data):
    (data / "own.toml").write_text(TOML.replace('"green"', '"grass"'))
    code, out, err = call(bundle, "--data", data / "own.toml", "--json")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert '--map "grass=CLASS"' in err
    code, out, _ = call(bundle, "--data", data / "own.toml", "--json", "--map", "grass=green")
    assert code == 0
    assert json.loads(out)["iou"]["grass"] > 0.8


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{bundle}", "--data", "dubai"], 2, "--root"),
        (["{bundle}", "--data", "nowhere"], 2, "unknown data 'nowhere'"),
        (["{bundle}", "--data", "{data}/own.toml", "--split", "train"], 2, "no split 'train'"),
        (["{bundle}"], 2, "either --data NAME or --all"),
        (["{bundle}", "--all", "--data", "dubai"], 2, "either --data NAME or --all"),
        (["{bundle}", "--all"], 2, "--root DIR"),
        (["{bundle}", "--all", "--root", "{data}"], 2, "none of the sets is there"),
        (["{bundle}", "--all", "--root", "{data}", "--split", "val"], 2, "without --split"),
        (["no-such-model", "--data", "{data}/own.toml"], 2, "unknown model 'no-such-model'"),
        (["gone.safetensors", "--data", "{data}/own.toml"], 2, "no checkpoint gone.safetensors"),
        (["{bundle}", "--data", "{data}/own.toml", "--png", "{data}/gone/m.png"], 2, "cannot write"),
    ],
)
def test_mistakes_are_one_line_and_an_exit_code(call, bundle, data, arguments, code, message):
    found, _, err = call(*(text.format(bundle=bundle, data=data) for text in arguments))
    assert found == code
    assert message in err
    assert err.count("\n") == 1


def test_all_sets_need_an_open_vocabulary(call, bundle, tmp_path):
    (tmp_path / "loveda").mkdir()
    code, out, err = call(bundle, "--all", "--root", tmp_path)
    assert (code, out) == (2, "")
    assert "classes of its own" in err


def test_an_unreadable_image_ends_with_its_name(call, bundle, data):
    (data / "images" / "b.png").write_bytes(b"")
    code, out, err = call(bundle, "--data", data / "own.toml")
    assert (code, out) == (1, "")
    assert "b.png" in err


def test_ctrl_c_is_quiet(call, bundle, data, monkeypatch):
    def interrupt(self, image):
        raise KeyboardInterrupt

    monkeypatch.setattr("rsseg_edge.segmenters.semantic.SemanticSegmenter.__call__", interrupt)
    code, out, err = call(bundle, "--data", data / "own.toml")
    assert (code, out) == (130, "")
    assert "Traceback" not in err


def test_help_comes_at_once_and_imports_nothing_heavy():
    script = (
        "import sys; from rsseg_edge.cli.eval import main; sys.argv = ['rsseg-eval', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'cv2', 'torch', 'onnxruntime', 'pydantic', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    seconds = []
    for _ in range(2):  # the second run has the byte code
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0, done.stderr
        assert "WHAT" in done.stdout
    assert min(seconds) < 2.0  # a busy machine; 0.2 s on an idle one


def test_classes_are_for_an_open_vocabulary(call, bundle, data):
    code, out, err = call(bundle, "--data", data / "own.toml", "--classes", "sea; roof; wood")
    assert (code, out) == (2, "")
    assert "has classes of its own" in err


class StrongestChannel:
    """An open vocabulary that takes any three words for red, green and blue."""

    long_side, classes = 64, ()

    def set_classes(self, classes, *, background=None, threshold=None):
        self.classes = tuple(name.split(",")[0] for name in classes)

    def __call__(self, image):
        return SimpleNamespace(class_map=image.argmax(2).astype(np.uint8))

    def close(self):
        pass


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ((), False),  # the data's own names, in its order: blue is asked of the red channel
        (("--classes", "roof,house; wood; sea"), False),
        (("--classes", "roof,house; wood; sea", "--map", "blue=sea", "--map", "red=roof", "--map", "green=wood"), True),
        (("--classes", "red; green; blue", "--map", "blue=blue"), True),  # the rest by name
    ],
)
def test_words_of_an_open_vocabulary_match_in_order_unless_mapped(call, data, monkeypatch, arguments, right):
    monkeypatch.setattr(subject, "reads_sentences", lambda what: False)
    monkeypatch.setattr(subject, "open_subject", lambda what, long_side, precision: StrongestChannel())
    monkeypatch.setattr(subject, "reads_sentences", lambda what: False)
    code, out, _ = call("any", "--data", data / "own.toml", "--json", *arguments)
    assert code == 0
    assert (json.loads(out)["overall_accuracy"] > 0.8) == right
