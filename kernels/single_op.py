"""An ONNX model of one operator alone, for a row of the table: what tests, benchmarks and boards run."""

from __future__ import annotations

import onnx
from onnx import helper

from rsseg_edge.kernels.cases import Case
from rsseg_edge.kernels.functions import OPSET, attach
from rsseg_edge.kernels.registry import DOMAIN, OPS, VERSION

_TYPES = {
    "uint8": onnx.TensorProto.UINT8,
    "float32": onnx.TensorProto.FLOAT,
    "float16": onnx.TensorProto.FLOAT16,
    "int64": onnx.TensorProto.INT64,
}


def single_op_model(case: Case, dtype: str = "float32", *, body: bool = True) -> bytes:
    """A model with the case's inputs as graph inputs, their shapes static, and its outputs."""
    inputs = case.inputs(dtype)
    values = [helper.make_tensor_value_info(k, _TYPES[str(v.dtype)], v.shape) for k, v in inputs.items()]
    op = OPS[case.op]
    outputs = [
        helper.make_tensor_value_info(
            text.partition(" ")[0], _TYPES["uint8" if op.bytes else dtype], [None] * (text.count(",") + 1)
        )
        for text in op.outputs
    ]
    node = helper.make_node(
        case.op, list(inputs), [o.name for o in outputs], name=case.op, domain=DOMAIN, **case.attributes
    )
    graph = helper.make_graph([node], case.op, values, outputs)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)]
    # IR 9: the newest that ONNX Runtime 1.20 and JetPack 6's parser both read.
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    if body:
        attach(model)
    serialised: bytes = model.SerializeToString()
    return serialised
