"""Every graph that ships, in every precision, through NVIDIA's parser and builder, which need no GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed (pip install tensorrt-rtx)")
onnx = pytest.importorskip("onnx", reason="other precisions are made on the lab side: it needs onnx")

from rsseg_edge.bundle import MANIFEST, SHIPPED, open_bundle  # noqa: E402
from rsseg_edge.calibration.clipping import clip_range  # noqa: E402
from rsseg_edge.calibration.insert import quantize  # noqa: E402
from rsseg_edge.calibration.plan import measured_tensors  # noqa: E402
from rsseg_edge.calibration.prepare import prepare  # noqa: E402
from rsseg_edge.calibration.ranges import measure_ranges  # noqa: E402
from rsseg_edge.calibration.sites import find_sites  # noqa: E402
from rsseg_edge.calibration.subject import open_subject  # noqa: E402
from rsseg_edge.engines.onnx_file import read_signature  # noqa: E402
from rsseg_edge.engines.tensorrt_build import build, log_of  # noqa: E402
from rsseg_edge.export.precision import to_fp16  # noqa: E402
from rsseg_edge.kernels.registry import OPS  # noqa: E402

GPUS = [(8, 6), (12, 0)]  # an RTX 30 and an RTX 50; Jetsons' capabilities are not TensorRT-RTX's
SIDES = (64, 96)


def shipped_graphs() -> list[tuple[str, str]]:
    """Folder and file of every graph of every bundle, found by looking."""
    return [
        (folder.parent.relative_to(SHIPPED).as_posix(), file)
        for folder in sorted(SHIPPED.rglob(MANIFEST))
        for file in sorted(open_bundle(folder).manifest.files)
        if file.endswith(".onnx")
    ]


def precision_of(graph: onnx.ModelProto) -> str:
    """What the graph itself says. "for a CPU": uint8 activations or operators on codes, which NVIDIA does not take."""
    if any(n.op_type in OPS and OPS[n.op_type].codes for n in graph.graph.node):
        return "for a CPU"
    read = {n.input[2] for n in graph.graph.node if n.op_type == "QuantizeLinear"}
    kinds = {t.data_type for t in graph.graph.initializer if t.name in read}
    if kinds:
        return "for a CPU" if onnx.TensorProto.UINT8 in kinds else "int8"
    halves = any(t.data_type == onnx.TensorProto.FLOAT16 for t in graph.graph.initializer)
    return "fp16" if halves else "fp32"


def precisions() -> Iterator[tuple[str, str, str]]:
    """Every graph as it is, and where it is in float in the other precisions too; int8 where each frame runs it."""
    for name, file in shipped_graphs():
        precision = precision_of(onnx.load_from_string(open_bundle(SHIPPED / name).read(file)))
        if precision in ("fp16", "fp32"):
            yield name, file, "fp16"
            yield name, file, "fp32"
            if file in open_subject(open_bundle(SHIPPED / name)).graphs:
                yield name, file, "int8"
        elif precision == "int8":
            yield name, file, "int8"


def made(name: str, file: str, precision: str) -> bytes:
    """The graph in a precision: as it ships, widened, halved, or quantised by the ranges of one picture."""
    bundle = open_bundle(SHIPPED / name)
    graph = onnx.load_from_string(bundle.read(file))
    if precision_of(graph) != precision:
        graph = prepare(graph)
        if precision == "fp16":
            graph = to_fp16(graph, ())
        elif precision == "int8":
            subject = open_subject(bundle)
            picture = np.random.default_rng(0).integers(0, 256, (*SIDES, 3), np.uint8)
            sites, _ = find_sites(graph)
            ranges = measure_ranges(graph, measured_tensors(sites), [subject.feeds(subject.views(picture)[0])[file]])
            bounds = {tensor: clip_range(histogram, "max", symmetric=True) for tensor, histogram in ranges.items()}
            graph = quantize(graph, sites, bounds, "tensorrt")
    assert precision_of(graph) == precision
    return bytes(graph.SerializeToString())


def shapes_of(model: bytes) -> Mapping[str, tuple[int, ...]]:
    """An image of :data:`SIDES`; two windows, words, sentences where their number is free."""
    return {
        i.name: (1, *SIDES, 3) if i.name == "image" and not isinstance(i.shape[1], int)
        else tuple(side if isinstance(side, int) else 2 for side in i.shape)
        for i in read_signature(model).inputs
    }  # fmt: skip


def test_every_folder_that_ships_has_its_graphs_here() -> None:
    found = {name for name, _ in shipped_graphs()}
    assert found >= {"cris-tiny", "segclip-tiny", "segearth-ov-tiny"}
    assert {f"{name}/{file}" for name, file in shipped_graphs()} == {
        path.relative_to(SHIPPED).as_posix() for path in SHIPPED.rglob("*.onnx")
    }
    assert {file for name, file in shipped_graphs() if name == "cris-tiny"} >= {
        "text.onnx", "vision.onnx", "fusion.onnx",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "file", "precision"), list(precisions()))
def test_nvidias_parser_finds_nothing_and_its_builder_makes_an_engine(name: str, file: str, precision: str) -> None:
    model = made(name, file, precision)
    log_of(trt).take()
    built = build(trt, model, shapes_of(model), name=f"{name}/{file}", capabilities=GPUS)  # a finding is an error
    assert len(built.plan) > 100_000
    assert log_of(trt).take() == "TensorRT gives no reason", "an error was logged on the way"
