"""TensorRT-RTX parses and builds the function bodies. Building needs no GPU; running would."""

from __future__ import annotations

import pytest

onnx = pytest.importorskip("onnx")
trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed (pip install tensorrt-rtx)")

from rsseg_edge.kernels.cases import cases  # noqa: E402
from rsseg_edge.kernels.registry import OPS  # noqa: E402
from rsseg_edge.kernels.single_op import single_op_model  # noqa: E402


def model_of(case, dtype) -> bytes:
    """The shapes of a pyramid are constants of a network, not inputs."""
    model = onnx.load_from_string(single_op_model(case, dtype))
    for name, value in case.inputs().items():
        if value.dtype == "int64":
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
            model.graph.input.remove(next(i for i in model.graph.input if i.name == name))
    return model.SerializeToString()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("op", OPS)
def test_a_body_builds_into_an_engine(op, dtype):
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(model_of(cases(op)[1], dtype))
    assert parsed, "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    assert builder.build_serialized_network(network, config) is not None
