"""The demonstration: fly over real airborne images, or take a user's video, and run rsseg-run on it.

    python scripts/demo.py --wheel demo/deepforest-2.1.0-py3-none-any.whl -o demo
    python scripts/demo.py --video my.mp4 -o demo

Writes overlay.mp4, frames.jsonl and contact_sheet.png. The images are aerial photographs of Yellowstone (NEON, 10 cm a
pixel) that come inside the wheel of DeepForest, under its MIT licence; they are read from it and it is not installed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from rsseg_edge.bench.clip import write_clip
from rsseg_edge.types import UInt8Array

WIDTH, HEIGHT, RATE, SECONDS = 1280, 720, 25, 10
PAIRS = 4  # rows of the contact sheet


@dataclass(frozen=True)
class Shot:
    """A flight over one image, from one window to another; windows are left, top, width in its pixels."""

    image: str
    begin: tuple[float, float, float]
    end: tuple[float, float, float]

    def frames(self, image: UInt8Array, count: int) -> Iterator[UInt8Array]:
        """uint8 [HEIGHT, WIDTH, 3]; the camera speeds up and slows down gently."""
        for index in range(count):
            share = (1 - np.cos(np.pi * index / (count - 1))) / 2
            left, top, width = np.array(self.begin) * (1 - share) + np.array(self.end) * share
            scale = width / WIDTH
            window = np.array([[scale, 0, left], [0, scale, top]])
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            yield np.asarray(cv2.warpAffine(image, window, (WIDTH, HEIGHT), flags=flags), np.uint8)


SHOTS = (
    Shot("2019_YELL_2_541000_4977000_image_crop.png", (0, 0, 960), (220, 400, 1020)),  # along a road through forest
    Shot("2019_YELL_2_528000_4978000_image_crop2.png", (60, 1300, 1280), (980, 200, 1280)),  # from a meadow to trees
)


def fly(wheel: Path, clip: Path) -> None:
    """Make the clip out of the wheel's images."""
    with zipfile.ZipFile(wheel) as archive:
        images = [archive.read(f"deepforest/data/{shot.image}") for shot in SHOTS]
    count = RATE * SECONDS // len(SHOTS)

    def frames() -> Iterator[UInt8Array]:
        for shot, data in zip(SHOTS, images, strict=True):
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            yield from shot.frames(np.ascontiguousarray(image), count)

    write_clip(clip, frames(), rate=RATE)


def contact_sheet(video: Path, overlay: Path, path: Path) -> None:
    """Pairs of input and overlay, at moments spread over the overlay."""
    with av.open(str(overlay)) as container:
        stamps = [frame.time for frame in container.decode(video=0)]
    moments = [stamps[(2 * k + 1) * len(stamps) // (2 * PAIRS)] for k in range(PAIRS)]
    left, right = pictures(video, moments), pictures(overlay, moments)
    rows = []
    for moment, a, b in zip(moments, left, right, strict=True):
        b = b[: a.shape[0], : a.shape[1]]  # an overlay is padded to even sides
        size = (640, round(640 * a.shape[0] / a.shape[1]))
        pair = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (a, b)]
        row = np.full((size[1] + 4, 2 * 640 + 4, 3), 255, np.uint8)
        row[: size[1], :640], row[: size[1], 644:] = pair
        cv2.putText(
            row, f"{moment:.1f} s", (12, size[1] - 14), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255,) * 3, 1, cv2.LINE_AA
        )
        rows.append(row)
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def pictures(video: Path, moments: list[float]) -> list[UInt8Array]:
    """The frames of a video at given times, RGB."""
    found = {}
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            if frame.time in moments:
                turns = round(frame.rotation / 90) % 4
                found[frame.time] = np.rot90(frame.to_ndarray(format="rgb24"), turns)
    return [found[moment] for moment in moments]


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, help="run on this video instead")
    parser.add_argument("--wheel", type=Path, help="DeepForest's wheel, to fly over its images")
    parser.add_argument("--model", default="segclip-tiny", help="shipped bundle by name, or a bundle's folder")
    parser.add_argument("-o", "--out", type=Path, default=Path("demo"), help="folder of the results")
    options = parser.parse_args()
    video = options.video
    if video is None:
        if options.wheel is None:
            parser.error("give --video or --wheel")
        options.out.mkdir(parents=True, exist_ok=True)
        video = options.out / "clip.mp4"
        print(f"{video}: {SECONDS} s over airborne images of {options.wheel.name} (NEON, Yellowstone; MIT)", flush=True)
        fly(options.wheel, video)
    command = [str(Path(sys.executable).with_name("rsseg-run")), str(video), "--model", options.model, "-o"]
    print(f"$ rsseg-run {video} --model {options.model} -o {options.out}", flush=True)
    overlay, sheet = options.out / "overlay.mp4", options.out / "contact_sheet.png"
    before = overlay.stat().st_mtime_ns if overlay.exists() else None
    code = subprocess.run([*command, str(options.out)], check=False).returncode
    if overlay.exists() and overlay.stat().st_mtime_ns != before:  # an older one is of another run
        contact_sheet(video, overlay, sheet)
        print(f"look at {overlay} and {sheet}")
    return code


if __name__ == "__main__":
    sys.exit(main())
