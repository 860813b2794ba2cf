"""How fast the exported SegEarth-OV is on a CPU, next to the published method and to what the machine allows.

One image of 448 x 448 pixels, 9 windows of 224, 10 words; ViT-B/16 and JBUOne with random weights:

    python -m rsseg_edge.export.bench_segearth_ov                     # minutes and 13 GB: the published form too
    python -m rsseg_edge.export.bench_segearth_ov --skip-published
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.export.graph import trace
from rsseg_edge.export.open_vocabulary import DeployedWindows, to_onnx
from rsseg_edge.kernels.bench.comparisons import Report
from rsseg_edge.kernels.bench.memory import peak_growth
from rsseg_edge.kernels.bench.timing import matmul, session, take_turns
from rsseg_edge.models.segearth_ov.config import load_config
from rsseg_edge.models.segearth_ov.network import SegEarthOV
from rsseg_edge.models.segearth_ov.reference import plain_crop_logits
from rsseg_edge.models.segearth_ov.simfeatup import STAGES, SimFeatUp

WINDOWS, WORDS = 9, 10


class VisionAlone(nn.Module):
    """Windows uint8 [B, S, S, 3] to patch tokens and class token."""

    def __init__(self, windows: DeployedWindows) -> None:
        super().__init__()
        self.windows = windows

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        image = (crops.float() - self.windows.mean) / self.windows.std
        tokens, class_token = self.windows.network.vit(image.permute(0, 3, 1, 2))
        return tokens, class_token


def run(threads: int, rounds: int, batches: list[int], *, published: bool) -> Report:
    """Every comparison; medians, contestants taking turns."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    network = _network()
    side = network.inference.slide_crop
    crops = torch.randint(0, 256, (WINDOWS, side, side, 3), dtype=torch.uint8)
    text = F.normalize(torch.randn(WORDS, network.vit.channels), dim=-1)
    report = Report()
    report.add(
        f"SegEarth-OV, ViT-B/16, JBUOne, {WINDOWS} windows of {side}, {WORDS} words, float32, {threads} threads",
        machine=f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        versions=f"onnxruntime {ort.__version__}, torch {torch.__version__}",
    )
    ours = _measured(report, network, crops.numpy(), text.numpy(), threads, rounds, batches)
    if published:
        _published(report, network, crops[:1], text, ours)
    return report


def _measured(
    report: Report,
    network: SegEarthOV,
    crops: np.ndarray[Any, Any],
    text: np.ndarray[Any, Any],
    threads: int,
    rounds: int,
    batches: list[int],
) -> tuple[float, np.ndarray[Any, Any]]:
    """Milliseconds of the fastest number of windows at once, and its cosines."""
    graph = to_onnx(network).SerializeToString()
    for batch in batches:
        fresh = _pass(session(graph, threads), crops, batch, {"text": text})  # a session keeps what it once took
        report.add(f"ours, {batch} windows at once", peak_memory_MB_above_the_weights=peak_growth(fresh) / 1e6)
        del fresh
    engine = session(graph, threads)
    example = (torch.from_numpy(crops[:2]),)
    free = {"crops": {0: torch.export.Dim("B", min=1, max=64)}}
    vision = trace(VisionAlone(DeployedWindows(network)), example, ["crops"], ["tokens", "class_token"], free)
    alone, square = (
        session(vision.SerializeToString(), threads),
        np.random.default_rng(0).random((1024, 1024), np.float32),
    )
    multiply = session(matmul(1024), threads, ours=False)
    contestants: dict[str, Callable[[], Any]] = {"product": lambda: multiply.run(None, {"a": square, "b": square})}
    for batch in batches:
        contestants[f"ours {batch}"] = _pass(engine, crops, batch, {"text": text})
        contestants[f"vision {batch}"] = _pass(alone, crops, batch, {})
    ms = take_turns(rounds, **contestants)
    rate = 2 * 1024**3 / ms["product"] / 1e6
    gflop = len(crops) * _adaptive_gflop(network)
    vision_ms = min(ms[f"vision {batch}"] for batch in batches)
    floor = vision_ms + gflop / rate * 1e3
    best = min(batches, key=lambda batch: ms[f"ours {batch}"])
    for batch in batches:
        report.add(f"ours, {batch} windows at once", ms=ms[f"ours {batch}"])
    report.add("ViT alone, ONNX Runtime", ms=vision_ms)
    report.add(
        "adaptive convolutions at the matrix product's rate",
        GFLOP=gflop,
        matrix_product_of_1024_GFLOP_a_second=rate,
        ms=gflop / rate * 1e3,
    )
    report.add(f"ours, {best} windows at once", times_ViT_and_convolutions_at_most_150=ms[f"ours {best}"] / floor)
    return ms[f"ours {best}"], _pass(engine, crops[:1], 1, {"text": text})()[0]


def _published(
    report: Report, network: SegEarthOV, crop: Tensor, text: Tensor, ours: tuple[float, np.ndarray[Any, Any]]
) -> None:
    """One window the published way, which stands for all."""
    windows = DeployedWindows(network)
    image = ((crop.float() - windows.mean) / windows.std).permute(0, 3, 1, 2)
    took: list[float] = []
    found: list[Tensor] = []

    def call() -> None:
        start = time.perf_counter()
        with torch.inference_mode():
            found.append(plain_crop_logits(network, image, text))
        took.append(1e3 * (time.perf_counter() - start))

    memory = peak_growth(call)
    want = found[0].numpy()
    report.add(
        "published, plain PyTorch: unfolded, one window timed",
        ms_all_windows=WINDOWS * took[0],
        peak_memory_MB_above_the_weights=memory / 1e6,
        ours_times_faster_at_least_300=WINDOWS * took[0] / ours[0],
        largest_difference_of_cosines=float(np.abs(ours[1] - want).max()),
        same_word_percent=100 * float((ours[1].argmax(1) == want.argmax(1)).mean()),
    )


def _pass(
    engine: ort.InferenceSession, crops: np.ndarray[Any, Any], batch: int, others: dict[str, np.ndarray[Any, Any]]
) -> Callable[[], list[Any]]:
    """All windows, so many at once; the first output of each call."""
    wanted = [engine.get_outputs()[0].name]
    needed_only = ort.RunOptions()
    needed_only.only_execute_path_to_fetches = True
    return lambda: [
        engine.run(wanted, {"crops": crops[i : i + batch], **others}, needed_only)[0]
        for i in range(0, len(crops), batch)
    ]


def _adaptive_gflop(network: SegEarthOV) -> float:
    """Of the adaptive convolutions of one window."""
    grid = network.inference.slide_crop // network.vit.patch_size
    pixels = sum((grid * 2**stage) ** 2 for stage in range(1, STAGES + 1))
    return 2 * (2 * network.upsampler.radius + 1) ** 2 * pixels * network.vit.channels / 1e9


def _network() -> SegEarthOV:
    import open_clip

    config = load_config("segearth-ov")
    clip = open_clip.CLIP(**open_clip.get_model_config(config.clip))
    upsampler = SimFeatUp(clip.visual.output_dim, config.upsampler)
    return SegEarthOV(clip, None, upsampler, config.inference)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m rsseg_edge.export.bench_segearth_ov", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="every figure is the median of so many runs")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 3, 9], help="windows at once")
    parser.add_argument("--skip-published", action="store_true", help="leave out the published form: minutes and 13 GB")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args()
    report = run(arguments.threads, arguments.rounds, arguments.batches, published=not arguments.skip_published)
    for line in report.lines():
        print(line)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
