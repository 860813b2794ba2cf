"""A training run of a second: SegCLIP shrunk, on generated scenes. As a script it trains into a folder."""

import sys
from functools import cache
from pathlib import Path

import torch
from lightning_fabric import Fabric

from rsseg_edge.datasets.sample import Sample
from rsseg_edge.datasets.scenes import generate_scene
from rsseg_edge.models.segclip.config import load_config
from rsseg_edge.models.segclip.network import SegCLIP
from rsseg_edge.training.crops import CropSource
from rsseg_edge.training.loop import Run, train
from rsseg_edge.training.recipe import Recipe
from rsseg_edge.training.task import SegCLIPTask
from rsseg_edge.types import ClassTable

NAMES = ("building", "land", "road", "vegetation", "water")
CLASSES = ClassTable(NAMES, tuple((40 * i, 0, 0) for i in range(len(NAMES))))


class Samples(list[Sample]):
    """Samples in memory as a data set."""

    classes = CLASSES

    def area(self, index: int) -> int:
        return self[index].labels.size


@cache
def scenes(count: int = 3) -> Samples:
    return Samples(generate_scene(seed, 96, 112, gsd=0.8) for seed in range(count))


def small_segclip() -> SegCLIPTask:
    """SegCLIP with every mechanism of the real ones, and random weights."""
    torch.manual_seed(0)
    config = load_config("segclip-tiny", channels=32)
    config = config.model_copy(
        update={
            "backbone": config.backbone.model_copy(update={"name": "lcnet_035"}),
            "decoder": config.decoder.model_copy(update={"queries": 8, "layers": 3, "feedforward": 32}),
            "loss": config.loss.model_copy(update={"points": 64}),
        }
    )
    return SegCLIPTask(SegCLIP(config, torch.randn(len(NAMES), 16), pretrained=False))


def small_recipe(**overrides) -> Recipe:
    given = {"steps": 6, "batch": 2, "warmup": 2, "validate_every": 3, "checkpoint_every": 2, "crop": {"size": 64}}
    return Recipe.model_validate(given | overrides)


def share_of_land(task: SegCLIPTask) -> float:
    """Stands for the validation: any figure that depends on the weights."""
    with torch.no_grad():
        return float((task.scores(torch.full((1, 3, 64, 64), 90.0)).argmax(1) == 1).float().mean())


def run(folder: Path, *, task=None, recipe=None, fabric=None, seed=3, data=None, validate=share_of_land, **options):
    """Train into the folder; the averaged task."""
    folder.mkdir(parents=True, exist_ok=True)
    fabric = fabric or Fabric(accelerator="cpu", devices=1)
    recipe = recipe or small_recipe()
    data = data or [(scenes(), 1.0)]
    run_ = Run("segclip-tiny", recipe, seed, folder, {"data": "scenes"}, data[0][0].classes)
    source = CropSource(data, recipe.crop, seed)
    return train(fabric, run_, task or small_segclip(), source, validate, **options)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), recipe=small_recipe(steps=int(sys.argv[2]), validate_every=20))
