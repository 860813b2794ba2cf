"""A long run over generated frames, as JSON: does memory stay flat, and is every frame there once and in order?

Each frame shows its own number as 16 squares, so that a lost or repeated one is seen in what was written: the overlay
(nothing is drawn over it), the lossless class maps of a network that reads the squares, the COCO file and the log.
Memory is resident memory through the run; its slope is a least-squares line after a third of the frames: until frame
16,384 the clocks of the stages fill what they keep.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numbered_frames import BITS, SIDE, Squares, number, picture

from rsseg_edge.outputs import Outputs, overlay_sinks
from rsseg_edge.pipeline import Pipeline
from rsseg_edge.postprocess.drawing import Drawing
from rsseg_edge.segmenter import load
from rsseg_edge.sinks.class_video import ClassVideo
from rsseg_edge.sinks.coco import CocoMasks
from rsseg_edge.sinks.frame_log import FrameLog
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.video import VideoFile
from rsseg_edge.types import Result

RATE = 30


def write_video(path: Path, frames: int) -> None:
    """A video of numbered frames."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "10"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        grey = np.full((SIDE * 3 // 2, SIDE), 128, np.uint8)
        for index in range(frames):
            grey[:SIDE] = picture(index)
            frame = av.VideoFrame.from_ndarray(grey, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def faults(found: Iterable[int], frames: int) -> dict[str, int]:
    """How many numbers are missing, there more than once, or out of order."""
    numbers = np.fromiter(found, np.int64)
    seen = np.bincount(numbers, minlength=frames)
    return {
        "frames": len(numbers),
        "lost": int((seen[:frames] == 0).sum()),
        "repeated": int((seen > 1).sum()),
        "out_of_order": int((np.diff(numbers) < 1).sum()),
    }


def decoded(path: Path, threshold: float) -> Iterable[int]:
    """Numbers of the frames in a video."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield number(frame.to_ndarray()[:SIDE, :SIDE], threshold)


def resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def slope(samples: list[tuple[int, float]], frames: int) -> dict[str, Any]:
    """Growth of memory after the first third of the run."""
    at, mib = np.array([s for s in samples if s[0] >= frames / 3]).T
    line, covariance = np.polyfit(at, mib, 1, cov=True)
    tenth = max(1, len(mib) // 10)
    return {
        "samples": len(mib),
        "bytes_a_frame": round(line[0] * 2**20, 1),
        "standard_error": round(float(np.sqrt(covariance[0, 0])) * 2**20, 1),
        "grown_mib": round(float(np.median(mib[-tenth:]) - np.median(mib[:tenth])), 2),
        "first_mib": round(float(np.median(mib[:tenth])), 1),
        "last_mib": round(float(np.median(mib[-tenth:])), 1),
        "largest_mib": round(float(mib.max()), 1),
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60_000, choices=range(100, 1 << BITS), metavar="N")
    parser.add_argument("--overlay", choices=("mkv", "mp4"), default="mkv", help="an MP4 keeps an index of its frames")
    parser.add_argument("--live", action="store_true", help="as a live stream is written, and pushed to nobody as well")
    parser.add_argument("--model", help="a bundle in place of the network that costs nothing; class maps are not read")
    options = parser.parse_args()
    frames: int = options.frames
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        write_video(out / "numbers.mp4", frames)
        source = VideoFile(out / "numbers.mp4", Selection(), threads=1, report=print)
        overlay = out / f"overlay.{options.overlay}"
        form = replace(source.video, path=None) if options.live else source.video
        to = [str(overlay), *(["udp://127.0.0.1:9"] if options.live else [])]
        sinks = [
            *overlay_sinks(
                Outputs(to), Drawing([], 0.0), form, out / "numbers.mp4", out,
                threads=1, report=print, say=print, transport="tcp", klv=None,
            ),
            ClassVideo(out / "classes.mkv", source.video, threads=1, report=print),
            CocoMasks(out / "classes.coco.json"),
            FrameLog(out / "frames.jsonl"),
        ]  # fmt: skip
        segmenter = load(options.model, long_side=SIDE, threads=1) if options.model else Squares()
        samples: list[tuple[int, float]] = []

        def shown(result: Result) -> None:
            if result.frame.index % max(1, frames // 600) == 0:
                samples.append((result.frame.index, resident()))

        begin = time.monotonic()
        outcome = Pipeline(source.frames(), segmenter, sinks).run(shown)
        seconds = time.monotonic() - begin
        source.close()
        if outcome.error is not None:
            raise SystemExit(f"error: {outcome.error}")
        with (out / "frames.jsonl").open() as lines:
            written = {"frames.jsonl": faults((json.loads(line)["index"] for line in lines), frames)}
        written[overlay.name] = faults(decoded(overlay, 128), frames)
        if not options.model:
            written["classes.mkv"] = faults(decoded(out / "classes.mkv", 0.5), frames)
        coco = json.loads((out / "classes.coco.json").read_text())
        written["classes.coco.json"] = faults((image["frame"] for image in coco["images"]), frames)
    told = {"frames": frames, "frames_per_second": round(frames / seconds, 1), "memory": slope(samples, frames)}
    print(json.dumps(told | {"written": written}, indent=1))
    if any(
        one["frames"] != frames or one["lost"] or one["repeated"] or one["out_of_order"] for one in written.values()
    ):
        raise SystemExit("frames were lost, repeated or moved")


if __name__ == "__main__":
    main()
