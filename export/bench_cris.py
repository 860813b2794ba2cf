"""``python -m rsseg_edge.export.bench_cris``: CRIS as exported against the published network in PyTorch eager.

Both run on the cores that the process may use, on one image and one or several sentences about it, in turns, so that
what else the machine does slows both. Weights are random: they do not change what is computed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime
import torch

from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.export.cris import to_onnx
from rsseg_edge.export.cris_published import PublishedCRIS
from rsseg_edge.machine import processor
from rsseg_edge.models.cris.config import configurations, load_config
from rsseg_edge.models.cris.network import CRIS
from rsseg_edge.prompts.tokenizer import without_padding

Step = Callable[[], object]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a JSON object."""
    parser = argparse.ArgumentParser(prog="bench_cris", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", choices=configurations(), default="cris")
    parser.add_argument("--sentences", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--rounds", type=int, default=7, help="measured runs of each, after one that is not")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args(arguments)
    print(json.dumps(measure(given.model, given.sentences, given.rounds, given.threads), indent=2))


def measure(model: str, sentences: Sequence[int], rounds: int, threads: int) -> dict[str, object]:
    """Median seconds of an image with a number of sentences, by both, and their ratio; and the same in CPU time.

    The text of our side counts in full, though a stream encodes a sentence once.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = CRIS(load_config(model), pretrained=False).eval()
    size = network.config.image_size
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    tokens = np.ones((max(sentences), network.config.word_length), np.int64)
    tokens[:, 6:] = 0
    engines = {
        name: OnnxRuntimeEngine(graph.SerializeToString(), threads=threads, name=name)
        for name, graph in to_onnx(network, size).items()
    }
    if engines["fusion"].kernels is None:
        print("installed without our compiled kernels: this measures the operators' bodies", file=sys.stderr)
    published = PublishedCRIS(network)

    def eager(count: int) -> None:
        with torch.inference_mode():
            for row in tokens[:count]:
                pixels = network.normalize(torch.from_numpy(image).permute(0, 3, 1, 2).float())
                published(pixels, torch.from_numpy(row[None])).sigmoid()

    def exported(count: int) -> None:
        vision = engines["vision"].infer({"image": image})
        text = engines["text"].infer({"tokens": without_padding(tokens[:count])})
        for i in range(count):  # as the runtime does on a CPU
            engines["fusion"].infer({**vision, **{name: value[i : i + 1] for name, value in text.items()}})

    results = []
    for count in sentences:
        steps: list[Step] = [lambda n=count: eager(n), lambda n=count: exported(n)]  # type: ignore[misc]
        (wall, wall_ours), (cpu, cpu_ours) = _in_turns(steps, rounds)
        results.append(
            {
                "sentences": count,
                "eager_s": wall,
                "exported_s": wall_ours,
                "ratio": wall / wall_ours,
                "eager_cpu_s": cpu,
                "exported_cpu_s": cpu_ours,
                "cpu_ratio": cpu / cpu_ours,
            }
        )
        print(f"{count} sentences: {wall:.3f} s eager, {wall_ours:.3f} s exported", file=sys.stderr)
    return {
        "model": model,
        "size": size,
        "precision": "fp32",
        "threads": threads,
        "machine": processor(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "results": results,
    }


def _in_turns(steps: Sequence[Step], rounds: int) -> tuple[list[float], list[float]]:
    """Median wall and CPU seconds of each; the first round warms up.

    CPU seconds are those of all threads: on a machine that does other work too, they say what wall time cannot.
    """
    wall: list[list[float]] = [[] for _ in steps]
    cpu: list[list[float]] = [[] for _ in steps]
    for turn in range(rounds + 1):
        for i, step in enumerate(steps):
            begin, begin_cpu = time.perf_counter(), time.process_time()
            step()
            if turn:
                wall[i].append(time.perf_counter() - begin)
                cpu[i].append(time.process_time() - begin_cpu)
    return [float(np.median(taken)) for taken in wall], [float(np.median(taken)) for taken in cpu]


if __name__ == "__main__":
    main()
