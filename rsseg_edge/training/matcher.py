"""Hungarian matching of queries and true masks (DETR; Mask2Former's costs)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.models.segclip.config import LossConfig


@torch.no_grad()
def match(
    class_logits: Tensor, mask_points: Tensor, classes: Tensor, true_points: Tensor, valid: Tensor, config: LossConfig
) -> tuple[Tensor, Tensor]:
    """The assignment of least cost for one image.

    Args:
        class_logits: [N, K + 1].
        mask_points: mask logits at P points, [N, P].
        classes: int64 [t], classes of the true masks.
        true_points: the true masks at the same points, [t, P], 0..1.
        valid: [P], 0 where the point is unlabelled.
        config: the cost weights are the loss weights.

    Returns:
        Matching query and target indices, int64 [min(N, t)] each.
    """
    from scipy.optimize import linear_sum_assignment

    count = valid.sum().clamp(min=1)
    negative = F.softplus(mask_points) * valid  # cost of saying "background" is softplus(x), of "mask" softplus(-x)
    positive = F.softplus(-mask_points) * valid
    bce = (positive @ true_points.T + negative @ (1 - true_points).T) / count
    mask = mask_points.sigmoid() * valid
    true = true_points * valid
    dice = 1 - (2 * mask @ true.T + 1) / (mask.sum(-1)[:, None] + true.sum(-1)[None] + 1)
    classification = -class_logits.softmax(-1)[:, classes]
    cost = config.classification * classification + config.mask * bce + config.dice * dice
    rows, columns = linear_sum_assignment(cost.float().cpu().numpy())
    return torch.as_tensor(rows, device=classes.device), torch.as_tensor(columns, device=classes.device)
