"""SimFeatUp on a transformer whose true pixel features are known: a patch is a weighted mean of its pixels' colours."""

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric

from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp
from rsseg_edge.training.loop import Run, train
from rsseg_edge.training.recipe import Recipe
from rsseg_edge.training.simfeatup.crops import ImageCrops
from rsseg_edge.training.simfeatup.features import FrozenFeatures
from rsseg_edge.training.simfeatup.task import SimFeatUpLoss, SimFeatUpTask
from rsseg_edge.training.simfeatup.validate import gain_over_bilinear

SIZE, PATCH, CHANNELS = 48, 16, 12
LOSS = SimFeatUpLoss(jitters=2, pad=7, projection=8, hidden=8)


class ToyViT(torch.nn.Module):
    """Pixels to features by a random layer, then to tokens by the mean of the inner part of a patch."""

    patch_size, channels = PATCH, CHANNELS

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.weight = torch.nn.Parameter(2 * torch.randn(CHANNELS, 3, 1, 1, generator=generator))
        self.calls = 0

    def forward(self, image):
        self.calls += 1
        assert not self.training
        pixels = F.conv2d(image, self.weight).tanh()
        inner = pixels.unflatten(2, (-1, PATCH))[:, :, :, 2:-2].flatten(2, 3)
        inner = inner.unflatten(3, (-1, PATCH))[..., 2:-2].flatten(3, 4)
        tokens = F.avg_pool2d(inner, PATCH - 4).permute(0, 2, 3, 1)
        return tokens, tokens.mean((1, 2))


def small_task(kind="jbu_stack", loss=LOSS, vit=None):
    torch.manual_seed(1)
    return SimFeatUpTask(FrozenFeatures("toy", vit or ToyViT(), SIZE), SimFeatUp(CHANNELS, kind), loss)


def blocks(rng, height=70, width=90):
    """Blocks of plain colours, their borders anywhere: what bilinear upsampling blurs and the image tells."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = rng.integers(256, size=3)
    for _ in range(14):
        top, left = rng.integers(height - 8), rng.integers(width - 8)
        tall, wide = rng.integers(8, 40, 2)
        image[top : top + tall, left : left + wide] = rng.integers(256, size=3)
    return image


def write_images(folder, count=6):
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2)
    for i in range(count):
        assert cv2.imwrite(str(folder / f"{i:02d}.png"), blocks(rng))
    return sorted(folder.iterdir())


def small_recipe(**overrides):
    given = {"steps": 4, "batch": 2, "warmup": 1, "optimizer": "nadam", "weight_decay": 0.0, "lr": 3e-3}
    rest = {"validate_every": 2, "checkpoint_every": 1, "crop": {"size": 64}}
    return Recipe.model_validate(given | rest | overrides)


def run(folder, paths, *, task=None, recipe=None, **options):
    """Train into the folder; the averaged task."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = Run("simfeatup", recipe or small_recipe(), 3, folder, {"data": "toy"}, metric="gain over bilinear")
    crops = ImageCrops(paths[-1:], SIZE, 0).first(2)
    return train(
        Fabric(accelerator="cpu", devices=1),
        settings,
        task or small_task(),
        ImageCrops(paths[:-1], SIZE, 3),
        lambda current: gain_over_bilinear(current, crops),
        **options,
    )
