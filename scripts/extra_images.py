"""Make a training set of real forest, grass and road from two sources under MIT, for ``rsseg-train --also``.

    pip download --no-deps deepforest==2.1.0
    python scripts/extra_images.py --wheel deepforest-2.1.0-py3-none-any.whl --nitrdrone DIR -o extra
    rsseg-train segclip-tiny --data dubai --root DIR --also extra/dataset.toml:0.1

DeepForest (NEON, 10 cm a pixel): two pictures that are forest from edge to edge, and one with its trees in boxes. The
pictures that the demonstration flies over are not among them. NITRDrone: two drone pictures with road and vegetation
drawn in, made smaller so that a crop of 320 px shows more than asphalt. What nobody labelled stays unlabelled.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from rsseg_edge.types import UInt8Array

ROAD, VEGETATION, UNLABELLED = 1, 2, 0
FOREST = ("SOAP_031.png", "SOAP_061.png")
BOXES = ("OSBS_029.png", "OSBS_029.csv")
WIDTHS = (640, 1280)  # px that a NITRDrone picture is shrunk to: a frame as video sees it, and a closer one
TABLE = """\
name = "extra"
title = "Forest, grass and road from the air: pictures of DeepForest and NITRDrone"
source = "https://github.com/weecology/DeepForest, https://sites.google.com/view/nitrdrone"
licence = "MIT"
coding = "values"
ignore = [0]
classes = [
    { name = "road", mask = [1], color = [120, 94, 160] },
    { name = "vegetation", mask = [2], color = [64, 160, 72] },
]
files = [{ image = "images/{name}.png", mask = "masks/{name}.png" }]
splits = { train = {} }
"""


def forest(wheel: Path) -> Iterator[tuple[str, UInt8Array, UInt8Array]]:
    """Pictures of DeepForest's wheel: name, image, mask."""
    with zipfile.ZipFile(wheel) as archive:
        for file in FOREST:
            image = _decode(archive.read(f"deepforest/data/{file}"))
            yield Path(file).stem, image, np.full(image.shape[:2], VEGETATION, np.uint8)
        picture, table = (archive.read(f"deepforest/data/{file}") for file in BOXES)
    image = _decode(picture)
    mask = np.zeros(image.shape[:2], np.uint8)
    for row in csv.DictReader(io.StringIO(table.decode())):
        mask[int(row["ymin"]) : int(row["ymax"]), int(row["xmin"]) : int(row["xmax"])] = VEGETATION
    yield Path(BOXES[0]).stem, image, mask


def drone(folder: Path) -> Iterator[tuple[str, UInt8Array, UInt8Array]]:
    """NITRDrone's pictures at each of ``WIDTHS``; its mask values are 1 road, 2 occluded road, 3 vegetation."""
    meaning = np.full(256, UNLABELLED, np.uint8)
    meaning[[1, 3]] = ROAD, VEGETATION
    for path in sorted((folder / "images").glob("*.jpg")):
        image = np.asarray(Image.open(path).convert("RGB"))
        mask = meaning[np.asarray(Image.open(folder / "masks" / f"{path.stem}.png"))]
        for width in WIDTHS:
            size = (width, round(width * image.shape[0] / image.shape[1]))
            smaller = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            labels = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
            yield f"{path.stem}_{width}", smaller, labels


def _decode(data: bytes) -> UInt8Array:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, required=True, help="DeepForest's wheel")
    parser.add_argument("--nitrdrone", type=Path, required=True, help="folder with images and masks of NITRDrone")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder to make")
    options = parser.parse_args()
    for part in ("images", "masks"):
        (options.out / part).mkdir(parents=True, exist_ok=True)
    for name, image, mask in (*forest(options.wheel), *drone(options.nitrdrone)):
        Image.fromarray(image).save(options.out / "images" / f"{name}.png")
        Image.fromarray(mask).save(options.out / "masks" / f"{name}.png")
    (options.out / "dataset.toml").write_text(TABLE, encoding="utf-8")


if __name__ == "__main__":
    main()
