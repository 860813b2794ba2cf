"""A bundle of the published SegEarth-OV's size with random weights: a runtime's speed does not depend on them.

python scripts/random_segearth_ov.py vit-b-16                 # half a minute, 330 MB
rsseg-bench ./vit-b-16 --compare --frames 30 --report vit-b-16.html

It passes no parity gate and knows eight classes alone: to measure, not to use.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import open_clip
import torch

from rsseg_edge.bundle import ClassSpec, Manifest, Precision, open_bundle
from rsseg_edge.export.open_vocabulary import BORDER, to_onnx
from rsseg_edge.export.segearth_ov import CLASSES
from rsseg_edge.export.word_bank import bank_text_part
from rsseg_edge.export.write import checksums, write_bundle
from rsseg_edge.models.segearth_ov.config import SegEarthOVConfig, load_config
from rsseg_edge.models.segearth_ov.network import SegEarthOV
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp
from rsseg_edge.prompts.vocabulary import parse_classes


def main() -> None:
    """Draw the weights, trace the network, write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder of the bundle")
    parser.add_argument("--clip", default="ViT-B-16", help="open_clip's name of the CLIP")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    config = load_config("segearth-ov", clip=arguments.clip)
    clip = open_clip.create_model(arguments.clip, pretrained=None)
    network = SegEarthOV(clip, None, SimFeatUp(clip.visual.output_dim, config.upsampler), config.inference)
    graph = to_onnx(network.eval())

    def encode(words: Sequence[str]) -> npt.NDArray[np.float32]:
        rows = np.random.default_rng(arguments.seed).normal(size=(len(words), network.vit.channels))
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    words = parse_classes(tuple(CLASSES)).words
    text = bank_text_part(encode, (), words, encoder="none", templates=("{}",))
    files = {"model.onnx": graph.SerializeToString(), **text.files}
    write_bundle(arguments.output, _manifest(arguments.output.resolve().name, config, network, files), files)


def _manifest(name: str, config: SegEarthOVConfig, network: SegEarthOV, files: dict[str, bytes]) -> Manifest:
    """That of the small bundle of the same task, with this network's sizes."""
    small = open_bundle("segearth-ov-tiny").manifest
    assert small.vocabulary is not None, "it is of an open vocabulary"
    inference = network.inference
    vocabulary = {"dim": network.vit.channels, "crop": inference.slide_crop, "stride": inference.slide_stride}
    vocabulary |= {"encoder": "none", "templates": ("{}",), "words": tuple(CLASSES)}
    side = {"image_long_side": config.long_side, "video_long_side": config.long_side, "border": BORDER}
    return small.model_copy(
        update={
            "name": name,
            "model": "segearth-ov",
            "config": config.model_dump(mode="json"),
            "classes": tuple(ClassSpec(name=k.split(",")[0], color=color) for k, color in CLASSES.items()),
            "input": small.input.model_copy(update=side),
            "vocabulary": small.vocabulary.model_copy(update=vocabulary),
            "precision": Precision(name="fp32"),
            "files": checksums(files),
            "parity": None,
            "training": None,
            "scores": (),
        }
    )


if __name__ == "__main__":
    main()
