"""How much better than bilinear upsampling an upsampler is, on images that it has not seen."""

from __future__ import annotations

import torch
from torch import Tensor

from rsseg_edge.training.simfeatup.task import SimFeatUpTask, random_projection, to_size


@torch.no_grad()
def gain_over_bilinear(task: SimFeatUpTask, crops: Tensor) -> float:
    """1 - error / error of bilinear upsampling: 0 is no better, 1 is perfect.

    The error is that of the training: jittered, downsampled and projected features against those of the jittered
    image, squared. Both are measured on the same views and projections. Bilinear features are downsampled by the
    trained downsampler and by the plain mean, and the better of the two counts.

    Args:
        task: in evaluation mode.
        crops: RGB, uint8 [N, 3, S, S].
    """
    generator = torch.Generator().manual_seed(0)  # the same views every time
    ours = trained = plain = 0.0
    device = task.downsampler.w.device
    for crop in crops:
        image = task.features.normalised(crop[None].to(device).float())
        tokens = task.features.tokens(image)
        projection = random_projection(1, tokens.shape[-1], task.loss.projection, generator).to(tokens)
        maps = torch.cat((projection, task.downsampler.query(1)), -1)
        upsampled = task.upsample(tokens, image, maps)
        bilinear = to_size(tokens @ maps[:, None], (image.shape[2], image.shape[3]))
        for jitter in task.draw_jitters(image, generator):
            target = task.features.tokens(jitter(image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)) @ projection[:, None]
            ours += _error(task, jitter(upsampled), target)
            blurry = jitter(bilinear)
            trained += _error(task, blurry, target)
            patches = blurry[..., :-1].unflatten(2, (target.shape[2], -1)).unflatten(1, (target.shape[1], -1))
            plain += float((patches.mean((2, 4)) - target).square().sum())
    return 1 - ours / min(trained, plain)


def _error(task: SimFeatUpTask, upsampled: Tensor, target: Tensor) -> float:
    return float((task.downsampler(upsampled[..., :-1], upsampled[..., -1:]) - target).square().sum())
