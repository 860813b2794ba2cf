"""A bundle of the published SegEarth-OV's size with random weights: a runtime's speed does not depend on them.

python scripts/random_segearth_ov.py vit-b-16                 # 1.5 minutes, 0.6 GB
rsseg-bench vit-b-16 --compare --frames 30 --report vit-b-16.html
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import open_clip
import torch

from rsseg_edge.cli import say
from rsseg_edge.export.build import export
from rsseg_edge.export.request import Request
from rsseg_edge.models.segearth_ov.config import load_config
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp


def main() -> None:
    """Draw the weights, and export them as published ones would be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder of the bundle")
    parser.add_argument("--clip", default="ViT-B-16", help="open_clip's name of the CLIP")
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    clip = open_clip.create_model(arguments.clip, pretrained=None)
    upsampler = SimFeatUp(clip.visual.output_dim, load_config("segearth-ov").upsampler)
    with TemporaryDirectory(prefix="rsseg-random-") as folder:
        weights, enlarging = Path(folder) / "random.pt", Path(folder) / "upsampler.pt"
        torch.save(clip.state_dict(), weights)
        torch.save(upsampler.state_dict(), enlarging)
        del clip, upsampler
        request = Request(
            "segearth-ov",
            arguments.precision,
            clip=arguments.clip,
            clip_weights=str(weights),
            upsampler_weights=enlarging,
        )
        export(request, arguments.output, say)


if __name__ == "__main__":
    main()
