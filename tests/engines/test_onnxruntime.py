from pathlib import Path

import numpy as np
import pytest

from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import RssegError


def test_outputs_are_named_and_selected(bundle: Path) -> None:
    engine = OnnxRuntimeEngine((bundle / "model.onnx").read_bytes(), threads=1)
    assert engine.outputs == ("class_map", "confidence")
    image = np.full((1, 5, 7, 3), 200, np.uint8)
    assert list(engine.infer({"image": image})) == ["class_map", "confidence"]
    only = engine.infer({"image": image}, ["class_map"])
    assert list(only) == ["class_map"]
    assert only["class_map"].tolist() == [[[2] * 7] * 5]


@pytest.mark.parametrize("model", [b"", b"not onnx", b"\x08\x07"])
def test_what_is_no_model_is_one_line(model: bytes) -> None:
    with pytest.raises(RssegError, match="bundle x: ONNX Runtime") as caught:
        OnnxRuntimeEngine(model, name="bundle x")
    assert "\n" not in str(caught.value)


def test_an_input_of_another_name_is_one_line(bundle: Path) -> None:
    engine = OnnxRuntimeEngine((bundle / "model.onnx").read_bytes())
    with pytest.raises(RssegError, match="inference failed"):
        engine.infer({"picture": np.zeros((1, 4, 4, 3), np.uint8)})
