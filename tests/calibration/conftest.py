"""A small network of convolutions and a transformer's layer, as a graph whose results are known to be sensible."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="calibration is the lab side: it needs onnx")

WIDTH = 16
COLORS = {"a": [200, 0, 0], "b": [0, 200, 0], "c": [0, 0, 200]}


def small_graph(outlier: float = 1.0) -> onnx.ModelProto:
    """uint8 image [1, H, W, 3] to class map, confidence and logits of three classes at a quarter of its sides.

    A convolution, a depthwise one, one behind a sum of both, a LayerNorm with a channel ``outlier`` times as large as
    the others, two matrix products, and a product as the last layer.
    """
    helper, kinds = onnx.helper, onnx.TensorProto
    rng = np.random.default_rng(0)
    constants = {
        "stem.weight": rng.normal(0, 0.4, (WIDTH, 3, 4, 4)),
        "stem.bias": rng.normal(0, 0.1, WIDTH),
        "net.blocks.0.0.weight": rng.normal(0, 0.4, (WIDTH, 1, 3, 3)),
        "net.blocks.0.0.bias": rng.normal(0, 0.1, WIDTH),
        "net.blocks.0.1.weight": rng.normal(0, 0.3, (WIDTH, WIDTH, 1, 1)),
        "net.blocks.0.1.bias": rng.normal(0, 0.1, WIDTH),
        "norm.scale": np.where(np.arange(WIDTH) == 3, outlier, 1.0),
        "norm.shift": rng.normal(0, 0.1, WIDTH),
        "val_1": rng.normal(0, 0.3, (WIDTH, 32)) / np.where(np.arange(WIDTH) == 3, outlier, 1.0)[:, None],
        "val_2": rng.normal(0, 0.3, (32, WIDTH)),
        "val_3": rng.normal(0, 1.5, (WIDTH, 3)),
        "scale": np.array(1 / 64),
        "zero": np.array(0.0),
        "six": np.array(6.0),
        "full": np.array(255.0),
    }
    initializers = [onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in constants.items()]
    initializers.append(onnx.numpy_helper.from_array(np.array([3], np.int64), "last"))
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["float"], to=kinds.FLOAT),
        node("Mul", ["float", "scale"], ["scaled"]),
        node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        node("Conv", ["planes", "stem.weight", "stem.bias"], ["c0"], name="stem", strides=[4, 4]),
        node("Clip", ["c0", "zero", "six"], ["x0"]),
        node(
            "Conv",
            ["x0", "net.blocks.0.0.weight", "net.blocks.0.0.bias"],
            ["c1"],
            name="depthwise",
            group=WIDTH,
            pads=[1, 1, 1, 1],
        ),
        node("Clip", ["c1", "zero", "six"], ["x1"]),
        node("Add", ["x1", "x0"], ["sum"], name="around"),
        node("Conv", ["sum", "net.blocks.0.1.weight", "net.blocks.0.1.bias"], ["c2"], name="pointwise"),
        node("Transpose", ["c2"], ["tokens"], perm=[0, 2, 3, 1]),
        node("LayerNormalization", ["tokens", "norm.scale", "norm.shift"], ["normed"], name="norm", axis=-1),
        node("MatMul", ["normed", "val_1"], ["wide"], name="expand"),
        node("Relu", ["wide"], ["relu"]),
        node("MatMul", ["relu", "val_2"], ["narrow"], name="contract"),
        node("Add", ["narrow", "tokens"], ["residual"]),
        node("MatMul", ["residual", "val_3"], ["scores"], name="head"),
        node("LogSoftmax", ["scores"], ["log"], axis=-1),
        node("Transpose", ["log"], ["logits"], perm=[0, 3, 1, 2]),
        node("ArgMax", ["log"], ["best"], axis=3, keepdims=0),
        node("Cast", ["best"], ["class_map"], to=kinds.UINT8),
        node("ReduceMax", ["log", "last"], ["top"], keepdims=0),
        node("Exp", ["top"], ["share"]),
        node("Mul", ["share", "full"], ["percent"]),
        node("Cast", ["percent"], ["confidence"], to=kinds.UINT8),
    ]
    sides = [1, "h", "w"]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", kinds.UINT8, [1, "height", "width", 3])],
        [
            helper.make_tensor_value_info("class_map", kinds.UINT8, sides),
            helper.make_tensor_value_info("confidence", kinds.UINT8, sides),
            helper.make_tensor_value_info("logits", kinds.FLOAT, [1, 3, "h", "w"]),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def picture(seed: int, height: int = 64, width: int = 96) -> np.ndarray:
    """Coloured fields with noise: no two seeds alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3))
    fields = np.kron(coarse, np.ones((16, 16, 1), int))[:height, :width]
    return np.clip(fields + rng.normal(0, 8, fields.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def graph() -> onnx.ModelProto:
    """See :func:`small_graph`; one channel is 40 times as large as the others."""
    return small_graph(40.0)


@pytest.fixture(scope="session")
def small_bundle(graph: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle folder around it."""
    folder = tmp_path_factory.mktemp("bundles") / "small"
    folder.mkdir()
    model = graph.SerializeToString()
    (folder / "model.onnx").write_bytes(model)
    manifest = {
        "schema_version": 1,
        "name": "small",
        "model": "small",
        "config": {},
        "classes": [
            {"name": n, "color": c} for n, c in zip("abc", ([200, 0, 0], [0, 200, 0], [0, 0, 200]), strict=True)
        ],
        "input": {"multiple_of": 32, "image_long_side": 96, "video_long_side": 96},
        "precision": {"name": "fp32"},
        "files": {"model.onnx": hashlib.sha256(model).hexdigest()},
    }
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 pictures, of which one is black, one a copy and one not an image."""
    import cv2

    folder = tmp_path_factory.mktemp("photos")
    for seed in range(24):
        cv2.imwrite(str(folder / f"{seed:02d}.png"), picture(seed))
    cv2.imwrite(str(folder / "30.png"), np.zeros((64, 96, 3), np.uint8))
    cv2.imwrite(str(folder / "31.png"), picture(5))
    (folder / "32.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="session")
def make_picture():
    """See :func:`picture`."""
    return picture
