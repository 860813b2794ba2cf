"""A bundle of an open vocabulary whose cosines are known: a pixel's feature is its colour."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

SIDE = 32
COLORS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}
ENCODED = {"crimson": (1, 0, 0), "leaf": (0, 1, 0), "sky": (0, 0, 1)}


def color_graph() -> bytes:
    """``crops`` uint8 [B, 32, 32, 3] and ``text`` [Q, 3] to ``cosines``: colours in 0..1 times text."""
    from onnx import TensorProto, helper, numpy_helper

    crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])
    text = helper.make_tensor_value_info("text", TensorProto.FLOAT, ["queries", 3])
    output = helper.make_tensor_value_info("cosines", TensorProto.FLOAT, ["batch", "queries", SIDE, SIDE])
    nodes = [
        helper.make_node("Cast", ["crops"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "scale"], ["features"]),
        helper.make_node("Transpose", ["text"], ["columns"], perm=[1, 0]),
        helper.make_node("MatMul", ["features", "columns"], ["last"]),
        helper.make_node("Transpose", ["last"], ["cosines"], perm=[0, 3, 1, 2]),
    ]
    scale = numpy_helper.from_array(np.array(255, np.float32), "scale")
    return _model(nodes, [crops, text], output, [scale])


def text_graph(vocabulary: dict[str, int]) -> bytes:
    """``tokens`` int64 [B, L] to ``features``: the second token's row of a table."""
    from onnx import TensorProto, helper, numpy_helper

    rows = np.full((len(vocabulary), 3), 0.577, np.float32)
    for word, feature in ENCODED.items():
        rows[vocabulary[word]] = feature
    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", "length"])
    output = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 3])
    nodes = [
        helper.make_node("Gather", ["tokens", "second"], ["word"], axis=1),
        helper.make_node("Gather", ["rows", "word"], ["features"], axis=0),
    ]
    initializers = [numpy_helper.from_array(rows, "rows"), numpy_helper.from_array(np.array(1, np.int64), "second")]
    return _model(nodes, [tokens], output, initializers)


def _model(nodes: list, inputs: list, output: object, initializers: list) -> bytes:
    from onnx import helper

    graph = helper.make_graph(nodes, "test", inputs, [output], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def tokenizer(vocabulary: dict[str, int]) -> bytes:
    from tokenizers import Tokenizer, models, pre_tokenizers

    native = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    native.pre_tokenizer = pre_tokenizers.Whitespace()
    return native.to_str().encode()


def write(folder: Path, **changes: object) -> Path:
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "a", *ENCODED])}
    files = {
        "model.onnx": color_graph(),
        "text.onnx": text_graph(vocabulary),
        "tokenizer.json": tokenizer(vocabulary),
        "bank.json": json.dumps(list(COLORS)).encode(),
        "bank.f16": np.array(list(COLORS.values()), "<f2").tobytes(),
    }
    spec = {
        "dim": 3, "crop": SIDE, "stride": SIDE // 2, "logit_scale": 20.0, "templates": ["a {}"], "encoder": "text.onnx",
        "context_length": 4, "words": ["red,crimson", "green"],
    }  # fmt: skip
    manifest = {
        "schema_version": 1,
        "name": "colors",
        "model": "colors",
        "task": "open-vocabulary",
        "config": {},
        "classes": [{"name": "red", "color": [200, 0, 0]}],
        "input": {"multiple_of": 1, "image_long_side": 96, "video_long_side": 64, "border": [9, 9, 9]},
        "precision": {"name": "fp32"},
        "vocabulary": spec | changes,
    }
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of encoded words, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    """The bundle: red, green and blue in its bank; crimson, leaf and sky for its text encoder."""
    return write(tmp_path / "colors")
