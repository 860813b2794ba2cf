"""What smoothing and key frames are worth on a video, and what they cost where the labels are known.

    python scripts/flicker.py flight.mp4 --rate flight.mp4 --rate wide.mp4 -o flicker.json

- Flicker, of all pixels that look as they did in the frame before; and by a second flow of full size as well, since a
  measure that shares its motion with what it measures may flatter it.
- Agreement with the frame-by-frame result, on static regions: pixels that look as before (all of them), and those of
  them whose frame-by-frame class is as before, too (steady): where nothing is to be smoothed, nothing may change.
- mIoU on generated flights, 3 pixels and half a degree a frame, or several times as fast.
- Frames a second of network and temporal stages alone, one after the other on one thread, and of the whole of
  rsseg-run; all settings in turn, in several rounds, medians.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

import rsseg_edge
from rsseg_edge.datasets.scenes import generate_clip
from rsseg_edge.evaluation.confusion import ConfusionMatrix
from rsseg_edge.job import Job, Request
from rsseg_edge.machine import available_cores
from rsseg_edge.segmenter import Segmenter
from rsseg_edge.sources.base import Selection
from rsseg_edge.temporal.flicker import FlickerMeter
from rsseg_edge.temporal.score_grid import ScoreGrid
from rsseg_edge.temporal.segmenter import Steadiness, TemporalSegmenter
from rsseg_edge.types import UInt8Array

SETTINGS = [Steadiness(*s) for s in ((0, 1), (0.5, 1), (0.6, 1), (0.7, 1), (0, 2), (0, 4), (0, 8), (0.6, 4))]
LOOKS_ALIKE = 20  # grey levels between a pixel and where the second flow found it


class Once:
    """A segmenter whose network sees each image once, however many settings are tried on it. Images must stay alive."""

    def __init__(self, segmenter: Any) -> None:
        self.spec, self.long_side, self.table = segmenter.spec, segmenter.long_side, segmenter.table
        self._segmenter, self._found = segmenter, {}

    def prepare(self, image: UInt8Array) -> UInt8Array:
        """The image itself."""
        return image

    def infer_scores(self, image: UInt8Array) -> Any:
        """See :class:`rsseg_edge.temporal.segmenter.GridSegmenter`."""
        if id(image) not in self._found:
            self._found[id(image)] = self._segmenter.infer_scores(self._segmenter.prepare(image))
        return self._found[id(image)]

    def score_grid(self, image: UInt8Array, raw: Any) -> ScoreGrid:
        """See :class:`rsseg_edge.temporal.segmenter.GridSegmenter`."""
        return self._segmenter.score_grid(image, raw)

    def close(self) -> None:
        """The segmenter stays open."""


def name(steadiness: Steadiness) -> str:
    """As options of rsseg-run."""
    parts = [f"--smooth {steadiness.smooth:g}"] * (steadiness.smooth > 0)
    parts += [f"--keyframes {steadiness.keyframes}"] * (steadiness.keyframes > 1)
    return " ".join(parts) or "frame by frame"


def images_of(video: Path, most: int | None) -> list[UInt8Array]:
    """uint8 [H, W, 3] RGB each."""
    with av.open(str(video)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), most)]


def second_flow(images: Sequence[UInt8Array]) -> Iterator[tuple[Any, npt.NDArray[np.bool_]]]:
    """Of each frame but the first: where its pixels were in the frame before, and which look the same there."""
    greys = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = greys[0].shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    for before, now in pairwise(greys):
        flow = dis.calc(now, before, None)
        places = np.dstack([x + flow[..., 0], y + flow[..., 1]])
        unlike = cv2.blur(cv2.absdiff(cv2.remap(before, places, None, cv2.INTER_LINEAR), now), (3, 3))
        inside = cv2.inRange(places, (0.0, 0.0), (width - 1.0, height - 1.0)) > 0
        yield places, inside & (unlike < LOOKS_ALIKE)


def flicker(segmenter: Segmenter, video: Path, most: int | None) -> dict[str, dict[str, float]]:
    """Flicker and agreement of every setting."""
    images = images_of(video, most)
    once, results, maps = Once(segmenter), {}, {}
    for steadiness in SETTINGS:
        temporal = TemporalSegmenter(once, steadiness)
        maps[name(steadiness)] = [temporal(image).class_map for image in images]
        meter = FlickerMeter()
        for image, class_map in zip(images, maps[name(steadiness)], strict=True):
            meter.add(image, class_map, segmenter.table)
        results[name(steadiness)] = {"flicker": meter.share or 0.0, "keyframes": temporal.keyframes}
    plain = maps[name(Steadiness())]
    counts = {key: np.zeros(3) for key in maps}  # changed, agreeing, agreeing where steady
    alike_pixels = steady_pixels = 0
    for index, (places, alike) in enumerate(second_flow(images), 1):
        steady = alike & (cv2.remap(plain[index - 1], places, None, cv2.INTER_NEAREST) == plain[index])
        alike_pixels, steady_pixels = alike_pixels + alike.sum(), steady_pixels + steady.sum()
        for key, shown in maps.items():
            changed = cv2.remap(shown[index - 1], places, None, cv2.INTER_NEAREST) != shown[index]
            agrees = shown[index] == plain[index]
            counts[key] += (changed & alike).sum(), (agrees & alike).sum(), (agrees & steady).sum()
    for key, (changed, all_of_them, where_steady) in counts.items():
        results[key] |= {
            "flicker_second_flow": changed / alike_pixels,
            "agreement_all": all_of_them / alike_pixels,
            "agreement_steady": where_steady / steady_pixels,
        }
    return results


def accuracy(segmenter: Segmenter, speed: int, flights: int, frames: int) -> dict[str, dict[str, float]]:
    """mIoU of every setting on generated flights, and the share of key frames."""
    matrices = {name(s): ConfusionMatrix(segmenter.table) for s in SETTINGS}
    meters = {name(s): FlickerMeter() for s in SETTINGS}
    seen = dict.fromkeys(matrices, 0)
    for seed in range(flights):
        samples = list(islice(generate_clip(900_001 + seed, frames * speed, 360, 640), 0, None, speed))
        once = Once(segmenter)
        for steadiness in SETTINGS:
            key = name(steadiness)
            temporal = TemporalSegmenter(once, steadiness)
            for sample in samples:
                class_map = temporal(sample.image).class_map
                matrices[key].update(sample.labels, class_map)
                meters[key].add(sample.image, class_map, segmenter.table)
            seen[key] += temporal.keyframes
    total = flights * frames
    return {
        key: {"miou": matrix.miou, "keyframes": seen[key] / total, "flicker": meters[key].share or 0.0}
        for key, matrix in matrices.items()
    }


def rates(model: str, video: Path, frames: int, rounds: int) -> dict[str, dict[str, float]]:
    """Frames a second of every setting: network and temporal stages alone, and the whole of rsseg-run."""
    settings = [s for s in SETTINGS if s.keyframes > 1 or s.smooth in (0, 0.6)]
    threads = max(1, available_cores() - 1)
    segmenter = rsseg_edge.load(model, threads=threads)
    segmenter.long_side = segmenter.spec.video_long_side
    images = images_of(video, min(frames, 120))
    alone: dict[str, list[float]] = {name(s): [] for s in settings}
    whole: dict[str, list[float]] = {name(s): [] for s in settings}
    for _ in range(rounds):
        for steadiness in settings:
            runs = TemporalSegmenter(segmenter, steadiness) if steadiness.wanted else segmenter
            prepared = [runs.prepare(image) for image in images]
            begin = time.perf_counter()
            for image, given in zip(images, prepared, strict=True):
                runs.finish(image, runs.infer(given))
            alone[name(steadiness)].append(len(images) / (time.perf_counter() - begin))
            with TemporaryDirectory(prefix="rsseg-flicker-") as out:
                request = Request(str(video), model, Path(out), Selection(max_frames=frames), steadiness=steadiness)
                outcome = Job(request, print, lambda _: None).run()
            whole[name(steadiness)].append(outcome.frames / outcome.seconds)
    segmenter.close()
    return {key: {"alone": float(np.median(alone[key])), "whole": float(np.median(whole[key]))} for key in alone}


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    """On stdout."""
    columns = list(next(iter(table.values())))
    print(f"\n{title}\n{'':24}" + "".join(f"{column:>21}" for column in columns))
    for key, row in table.items():
        print(f"{key:24}" + "".join(f"{row[column]:21.4f}" for column in columns))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path, nargs="?", help="measured for flicker")
    parser.add_argument("--model", default="segclip-tiny")
    parser.add_argument("--frames", type=int, help="at most so many of each video")
    parser.add_argument("--rate", type=Path, action="append", default=[], metavar="VIDEO", help="measured for speed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flights", type=int, default=0, help="generated ones, 60 frames each, for the mIoU")
    parser.add_argument("-o", "--out", type=Path, help="a JSON file of all tables")
    arguments = parser.parse_args()
    tables = {}
    segmenter = rsseg_edge.load(arguments.model, threads=available_cores())
    segmenter.long_side = segmenter.spec.video_long_side
    if arguments.video is not None:
        title = f"flicker and agreement, {arguments.video.name}"
        tables[title] = flicker(segmenter, arguments.video, arguments.frames)
        show(title, tables[title])
    for speed in (1, 4) if arguments.flights else ():
        title = f"generated flights, {3 * speed} pixels and {speed / 2:g} degrees a frame"
        tables[title] = accuracy(segmenter, speed, arguments.flights, 60)
        show(title, tables[title])
    segmenter.close()
    for video in arguments.rate:
        title = f"frames a second, {video.name}"
        tables[title] = rates(arguments.model, video, arguments.frames or 310, arguments.rounds)
        show(title, tables[title])
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main()
