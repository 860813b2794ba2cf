"""The comparisons. Contestants of one comparison take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from rsseg_edge.kernels.bench.memory import peak_growth
from rsseg_edge.kernels.bench.published import published_upsampler
from rsseg_edge.kernels.bench.timing import matmul, session, take_turns
from rsseg_edge.kernels.bench.upsampler import Stage, Upsampler
from rsseg_edge.kernels.case_inputs import Floats
from rsseg_edge.kernels.cases import Case
from rsseg_edge.kernels.functions import attach
from rsseg_edge.kernels.registry import ort_library
from rsseg_edge.kernels.single_op import single_op_model

CHANNELS, TOKENS, RADIUS, CLASSES = 512, 14, 5, 16


@dataclass
class Report:
    """Figures by subject and name; times in milliseconds."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, subject: str, **values: Any) -> None:
        """Note figures; underscores in their names are printed as spaces."""
        self.figures.setdefault(subject, {}).update(values)

    def lines(self) -> Iterator[str]:
        """What is printed."""
        for subject, values in self.figures.items():
            yield subject
            for name, value in values.items():
                text = f"{value:.4g}" if isinstance(value, float) else str(value)
                yield f"  {name.replace('_', ' '):48s} {text}"


def run(threads: int, rounds: int, *, published: bool) -> Report:
    """All comparisons; see the acceptance figures in ``kernels/README.md``."""
    if ort_library() is None:
        raise SystemExit("rsseg_ort_ops is not installed: install a C++ compiler and rsseg-edge again")
    report = Report()
    report.add(
        f"CPU kernels, float32, {threads} threads, medians",
        machine=f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        versions=f"onnxruntime {ort.__version__}, torch {torch.__version__}",
    )
    _convolution(report, threads, rounds)
    _upsampler(report, threads, rounds, published)
    _attention(report, threads, rounds)
    return report


def _convolution(report: Report, threads: int, rounds: int) -> None:
    """The last stage's adaptive convolution against a matrix product, and with classification fused."""
    side = 8 * TOKENS
    sizes = {"B": 1, "h": side, "w": side, "C": CHANNELS, "Q": CLASSES}
    plain = Case("AdaptiveUpsample", "bench", sizes, {"radius": RADIUS})
    fused = Case("AdaptiveUpsampleClassify", "bench", sizes, {"radius": RADIUS})
    square = np.random.default_rng(0).random((1024, 1024), np.float32)
    multiply = session(matmul(1024), threads)
    one, two = (session(single_op_model(c, body=False), threads) for c in (plain, fused))
    inputs, fused_inputs = plain.inputs(), fused.inputs()
    memory = peak_growth(lambda: two.run(None, fused_inputs))
    ms = take_turns(
        rounds,
        product=_bound(multiply, {"a": square, "b": square}, (1024, 1024)),
        plain=_bound(one, inputs, (1, 2 * side, 2 * side, CHANNELS)),
        fused=_bound(two, fused_inputs, (1, 2 * side, 2 * side, CLASSES)),
    )
    flops = 2 * (2 * RADIUS + 1) ** 2 * (2 * side) ** 2 * CHANNELS
    rate, peak = flops / ms["plain"] / 1e6, 2 * 1024**3 / ms["product"] / 1e6
    report.add(
        f"AdaptiveUpsample, {side}x{side} to {2 * side}x{2 * side}, {CHANNELS} channels, radius {RADIUS}",
        ms=ms["plain"],
        GFLOP_a_second_counting_121_products=rate,
        matrix_product_of_1024_GFLOP_a_second=peak,
        share_of_the_matrix_product_at_least_060=rate / peak,
    )
    report.add(
        f"AdaptiveUpsampleClassify, {CLASSES} classes",
        ms=ms["fused"],
        times_AdaptiveUpsample_at_most_125=ms["fused"] / ms["plain"],
        extra_memory_MB_below_64=memory / 1e6,
    )


def _upsampler(report: Report, threads: int, rounds: int, published: bool) -> None:
    """JBUOne from 14x14 tokens to 224x224 pixels, whole."""
    torch.manual_seed(0)
    weights = _random_weights()
    network = Upsampler(weights, RADIUS).eval()
    tokens, guidance = torch.randn(1, TOKENS, TOKENS, CHANNELS), torch.rand(1, 3, 16 * TOKENS, 16 * TOKENS)
    inputs = {"tokens": tokens.numpy(), "guidance": guidance.numpy()}
    contestants: dict[str, Callable[[], Any]] = {}
    for name, module in (("plain", network), ("fused", Upsampler(weights, RADIUS, torch.randn(CLASSES, CHANNELS)))):
        exported = session(export(module, tokens, guidance), threads)
        contestants[name] = lambda s=exported: s.run(None, inputs)  # type: ignore[misc]
    ms = take_turns(rounds, **contestants)
    subject = f"JBUOne whole, {TOKENS}x{TOKENS} tokens to {16 * TOKENS}x{16 * TOKENS} pixels"
    report.add(subject, ms=ms["plain"], ms_with_classification_fused=ms["fused"])
    if not published:
        return
    torch.set_num_threads(threads)
    start = time.perf_counter()
    with torch.no_grad():
        reference = published_upsampler(
            tokens.permute(0, 3, 1, 2), guidance, Stage(weights, "up.", RADIUS), network.mixing, network.bias
        )
    slow = (time.perf_counter() - start) * 1e3
    got = contestants["plain"]()[0]
    want = reference.permute(0, 2, 3, 1).numpy()
    report.add(
        subject,
        ms_as_published_one_run=slow,
        times_faster_at_least_1000=slow / ms["plain"],
        largest_relative_difference=float(np.abs(got - want).max() / np.abs(want).max()),
    )


def _attention(report: Report, threads: int, rounds: int) -> None:
    """100 queries, 8 heads, 256 channels: random masks, the hardest, and those of compact objects."""
    for length in (1024, 4096, 16384):
        case = Case("MaskedAttention", "bench", {"B": 1, "N": 100, "L": length, "C": 256}, {"num_heads": 8})
        kernel, body = (session(single_op_model(case, body=b), threads, ours=not b) for b in (False, True))
        inputs = case.inputs()
        objects = {**inputs, "mask_logits": _objects(100, length)}
        ms = take_turns(
            rounds,
            kernel=lambda k=kernel, x=inputs: k.run(None, x),  # type: ignore[misc]
            body=lambda b=body, x=inputs: b.run(None, x),  # type: ignore[misc]
            objects=lambda k=kernel, x=objects: k.run(None, x),  # type: ignore[misc]
        )
        report.add(
            f"MaskedAttention, 100 queries, 8 heads, 256 channels, L = {length}",
            ms=ms["kernel"],
            ms_function_body=ms["body"],
            times_faster_at_least_15=ms["body"] / ms["kernel"],
            times_faster_on_masks_of_compact_objects=ms["body"] / ms["objects"],
        )


def export(module: torch.nn.Module, tokens: torch.Tensor, guidance: torch.Tensor) -> bytes:
    """The upsampler as an ONNX model with the operators' bodies attached."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            module.eval(), (tokens, guidance), input_names=["tokens", "guidance"],
            dynamo=True, opset_version=18, verbose=False,
        )  # fmt: skip
    assert program is not None  # the dynamo exporter always returns one
    model = program.model_proto
    attach(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def _bound(session: ort.InferenceSession, inputs: dict[str, Any], shape: tuple[int, ...]) -> Callable[[], Any]:
    """Runs into memory that is allocated once, as between the nodes of a graph; new pages are no kernel's time."""
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_cpu_input(name, value)
    out = np.zeros(shape, np.float32)
    name = session.get_outputs()[0].name
    binding.bind_output(name, "cpu", 0, np.float32, shape, out.ctypes.data)

    def call(kept: Any = (out, inputs)) -> None:
        session.run_with_iobinding(binding)

    return call


def _objects(queries: int, length: int) -> Floats:
    """Mask logits of discs of random places and sizes on a square image."""
    rng = np.random.default_rng(0)
    side = int(length**0.5)
    y, x = np.mgrid[:side, :side] / side
    centre, size = rng.random((2, queries, 1, 1)), rng.uniform(0.05, 0.3, (queries, 1, 1))
    distance = np.hypot(y - centre[0], x - centre[1])
    logits: Floats = ((size - distance) * 10).reshape(1, queries, length).astype(np.float32)
    return logits


def _random_weights() -> dict[str, torch.Tensor]:
    taps = (2 * RADIUS + 1) ** 2
    shapes = {
        "up.range_proj.0": (32, 3), "up.range_proj.3": (32, 32),
        "up.fixup_proj.0": (taps, taps + 3), "up.fixup_proj.3": (taps, taps), "fixup_proj.1": (CHANNELS, CHANNELS),
    }  # fmt: skip
    weights = {"up.range_temp": torch.zeros(()), "up.sigma_spatial": torch.ones(())}
    for name, (rows, columns) in shapes.items():
        weights[f"{name}.weight"] = torch.randn(rows, columns, 1, 1) / columns**0.5
        weights[f"{name}.bias"] = torch.randn(rows) * 0.1
    return weights
