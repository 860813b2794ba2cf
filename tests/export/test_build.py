"""From a checkpoint to a bundle that the segmenter runs."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="export is the lab side: it needs torch")

import rsseg_edge  # noqa: E402
from rsseg_edge.bundle import open_bundle  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from rsseg_edge.engines.shared import BatchCounts  # noqa: E402
from rsseg_edge.errors import RssegError, UsageError  # noqa: E402
from rsseg_edge.export import parity, precision, segclip  # noqa: E402
from rsseg_edge.export.build import export  # noqa: E402
from rsseg_edge.export.request import Request  # noqa: E402
from rsseg_edge.export.segclip import DeployedSegCLIP  # noqa: E402
from rsseg_edge.kernels.cases import cases  # noqa: E402
from rsseg_edge.kernels.references import expected, relative_error  # noqa: E402
from rsseg_edge.kernels.registry import DOMAIN  # noqa: E402
from rsseg_edge.kernels.single_op import single_op_model  # noqa: E402
from rsseg_edge.training.predict import load_checkpoint_segmenter  # noqa: E402


def quiet(line: str) -> None:
    pass


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours, as an aerial image has them."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((16, 16, 1), np.uint8))[:height, :width]


def one_image(given, count, prepare) -> parity.Images:
    return parity.Images("one", [image(64, 96)[None]])


def test_bundle_and_checkpoint_give_the_same_classes_at_any_size(bundle: Path, checkpoint: Path) -> None:
    exported, trained = rsseg_edge.load(bundle), load_checkpoint_segmenter(checkpoint)
    for size in ((33, 97), (128, 160), (250, 181)):
        a, b = exported(image(*size)), trained(image(*size))
        assert a.class_map.shape == size
        assert np.mean(a.class_map == b.class_map) > 0.999
        assert np.abs(a.confidence.astype(int) - b.confidence).max() <= 1


def test_graph_gives_class_map_confidence_and_logits_that_belong_together(bundle: Path, task) -> None:
    engine = OnnxRuntimeEngine(open_bundle(bundle).read("model.onnx"))
    given = image(96, 160)[None]
    found = engine.infer({"image": given})
    assert found["class_map"].dtype == found["confidence"].dtype == np.uint8
    assert found["logits"].shape == (1, 3, 24, 40)
    np.testing.assert_allclose(np.exp(found["logits"]).sum(1), 1, atol=1e-4)
    with torch.inference_mode():
        expected = DeployedSegCLIP(task.network)(torch.from_numpy(given))
    np.testing.assert_allclose(found["logits"], expected[2].numpy(), atol=1e-4)


def test_manifest_tells_classes_parity_and_versions(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    assert [c.name for c in manifest.classes] == ["roof", "soil", "water"]
    assert manifest.name == "three"
    assert manifest.parity is not None
    assert manifest.parity.agreement >= 0.999
    assert {"torch", "onnx", "onnxruntime"} <= set(manifest.made_with)


def test_graph_names_no_path_of_the_machine_that_made_it(bundle: Path) -> None:
    graph = onnx.load_from_string(open_bundle(bundle).read("model.onnx"))
    for tensor in graph.graph.initializer:
        tensor.raw_data = b""  # weights are random bytes: any word is in them
    words = graph.SerializeToString()
    assert b"site-packages" not in words
    assert b".py" not in words


def test_fp16_halves_the_file_and_keeps_the_classes(checkpoint: Path, bundle: Path, tmp_path: Path) -> None:
    manifest = export(Request("segclip-tiny", "fp16", checkpoint, size=(96, 160)), tmp_path / "half", quiet)
    assert manifest.parity is not None
    assert manifest.parity.agreement >= 0.995
    assert manifest.precision.name == "fp16"
    assert (manifest.input.height, manifest.input.width) == (96, 160)
    half, full = ((p / "model.onnx").stat().st_size for p in (tmp_path / "half", bundle))
    assert half < 0.6 * full
    a, b = rsseg_edge.load(tmp_path / "half")(image(90, 130)), rsseg_edge.load(bundle)(image(90, 130))
    assert np.mean(a.class_map == b.class_map) > 0.97  # a fixed canvas pads more than a free one


def test_scores_of_a_shipped_bundle_are_not_passed_on_to_another_precision(tmp_path: Path) -> None:
    assert open_bundle("segclip-tiny").manifest.scores
    half = export(Request("segclip-tiny", "fp16", size=(64, 96)), tmp_path / "half", quiet)
    assert half.scores == open_bundle(tmp_path / "half").manifest.scores == ()
    assert half.parity is not None
    assert half.parity.agreement >= 0.995


def test_fixed_size_bundle_takes_any_image(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segclip, "gate_images", one_image)
    export(Request("segclip-tiny", "fp32", checkpoint, size=(64, 96)), tmp_path / "fixed", quiet)
    segmenter = rsseg_edge.load(tmp_path / "fixed")
    for size in ((64, 96), (200, 100), (31, 333)):
        assert segmenter(image(*size)).class_map.shape == size


def test_a_graph_with_a_free_batch_gives_each_stream_its_own(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segclip, "gate_images", one_image)
    export(Request("segclip-tiny", "fp32", checkpoint, size=(64, 96), batch=True), tmp_path / "batch", quiet)
    counts = BatchCounts()
    segmenter = rsseg_edge.load(tmp_path / "batch", shared=counts)
    images = [image(64, 96, seed) for seed in range(4)]
    alone = [segmenter(each) for each in images]
    found: dict[int, list] = {k: [] for k in range(4)}

    def stream(k: int) -> None:
        for _ in range(6):
            found[k].append(segmenter(images[k]))

    threads = [threading.Thread(target=stream, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    segmenter.close()
    assert counts.joins
    assert counts.largest > 1
    assert counts.frames == 28
    for k, results in found.items():
        for result in results:
            assert np.mean(result.class_map == alone[k].class_map) > 0.999
            assert np.abs(result.confidence.astype(int) - alone[k].confidence).max() <= 1
    with pytest.raises(UsageError, match="--batch: the graph of the shipped segclip-tiny"):
        export(Request("segclip-tiny", "fp32", batch=True), tmp_path / "shipped", quiet)


def test_gate_refuses_a_graph_that_disagrees_and_writes_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(gate: parity.Gate, graph: onnx.ModelProto, kernels: bool):
        return lambda given: (np.full(given.shape[:3], 7, np.uint8), np.zeros((1, 3, 16, 24), np.float32))

    monkeypatch.setattr(segclip, "gate_images", one_image)
    monkeypatch.setattr(parity.Gate, "run", wrong)
    with pytest.raises(RssegError, match="parity gate"):
        export(Request("segclip-tiny", "fp32", checkpoint, size=(64, 96)), tmp_path / "wrong", quiet)
    assert not list(tmp_path.iterdir())


def test_a_model_without_weights_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rsseg-train segclip"):
        export(Request("segclip", "fp32"), tmp_path / "x", quiet)


def test_a_checkpoint_of_another_model_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="segclip-tiny"):
        export(Request("segclip", "fp32", checkpoint), tmp_path / "x", quiet)


def test_a_folder_with_other_files_is_never_replaced(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with pytest.raises(UsageError, match="other files"):
        export(Request("segclip-tiny", "fp32", checkpoint), tmp_path, quiet)
    assert (tmp_path / "thesis.tex").exists()


def test_logits_that_are_not_finite_are_refused() -> None:
    classes, logits = np.zeros((1, 4, 4), np.uint8), np.zeros((1, 2, 1, 1), np.float32)
    images = parity.Images("one", [np.zeros((1, 4, 4, 3), np.uint8)])
    with pytest.raises(RssegError, match="not finite"):
        parity.check_parity(
            lambda _: (classes, logits),
            lambda _: (classes, logits * np.nan),
            images,
            "fp32",
            reference="a",
            runtime="b",
        )


def test_what_overflows_a_half_is_found_and_kept() -> None:
    """x -> 3000 x -> divided by 3000: the product overflows a half for images brighter than 5."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], name="cast", to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "big"], ["large"], name="grow"),
        helper.make_node("Div", ["large", "big"], ["back"], name="shrink"),
        helper.make_node("Sqrt", ["back"], ["logits"], name="root"),
    ]
    graph = helper.make_graph(
        nodes,
        "overflow",
        [helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, 4, 4, 3])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, 4, 4, 3])],
        [numpy_helper.from_array(np.float32([3000.0]), "big")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    bright = np.full((1, 4, 4, 3), 200, np.uint8)
    ranges = precision.measure_ranges(model, precision.float_tensors(model), [{"image": bright}])
    assert ranges["large"].greatest == 600_000
    keep = precision.nodes_to_keep(model, ranges)
    assert keep == ["grow", "shrink"]
    engine = OnnxRuntimeEngine(precision.to_fp16(model, keep).SerializeToString(), widen=False)
    np.testing.assert_allclose(engine.infer({"image": bright})["logits"], np.sqrt(200), rtol=1e-3)


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "bodies"])
@pytest.mark.parametrize("kept", [True, False], ids=["fp32", "fp16"])
@pytest.mark.parametrize("op", ["MaskedAttention", "MSDeformAttn"])
def test_operators_of_ours_run_in_the_precision_that_is_asked_for(op: str, kept: bool, kernels: bool) -> None:
    case = cases(op)[0]
    graph = onnx.load_from_string(single_op_model(case))
    half = precision.to_fp16(graph, [op] if kept else [])
    onnx.checker.check_model(half)
    inferred = onnx.shape_inference.infer_shapes(half, data_prop=True).graph
    (node,) = [n for n in inferred.node if n.domain == DOMAIN]
    types = {v.name: v.type.tensor_type.elem_type for v in [*inferred.value_info, *inferred.input, *inferred.output]}
    wanted = onnx.TensorProto.FLOAT if kept else onnx.TensorProto.FLOAT16
    assert {types[name] for name in [*node.input, *node.output]} - {onnx.TensorProto.INT64} == {wanted}
    engine = OnnxRuntimeEngine(half.SerializeToString(), kernels=kernels, widen=False)
    assert relative_error(engine.infer(case.inputs())["output"], expected(case, "float16")) <= 2e-3
