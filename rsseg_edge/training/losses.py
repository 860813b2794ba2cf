"""The training loss of SegCLIP (METHODS 1.6): matched queries, guidance queries, deep supervision."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.models.segclip.config import LossConfig
from rsseg_edge.models.segclip.decoder import Prediction
from rsseg_edge.models.segclip.network import SegCLIPOutput, class_shares, upsample
from rsseg_edge.training.matcher import match

IGNORE = 255


def segclip_loss(output: SegCLIPOutput, truth: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """Weighted loss terms; their sum is minimised.

    Args:
        output: of the network in training mode.
        truth: int64 [B, H, W] class indices, 255 = unlabelled: such pixels count nowhere.
        config: weights.

    Returns:
        ``classification``, ``mask``, ``dice`` over all layers, ``guidance`` and ``semantic`` where switched on.
    """
    classes = output.predictions[0].class_logits.shape[-1] - 1
    targets = [_Target(image, classes) for image in truth]
    masks_total = mean_over_processes(truth.new_tensor(sum(len(t.classes) for t in targets)).float()).clamp(min=1)
    terms = {name: truth.new_zeros((), dtype=torch.float32) for name in ("classification", "mask", "dice")}
    for prediction in output.predictions:
        points = torch.rand(len(targets), config.points, 2, device=truth.device)
        pairs = [
            match(
                prediction.class_logits[b].float(),
                sample(prediction.mask_logits[b], points[b]).float(),
                target.classes,
                *target.at(points[b]),
                config,
            )
            for b, target in enumerate(targets)
        ]
        _add(terms, _pair_losses(prediction, targets, pairs, masks_total, config))
    if output.guided:
        terms["guidance"] = config.guidance * sum(
            (term for p in output.guided for term in _guided_losses(p, targets, masks_total, config)),
            start=truth.new_zeros((), dtype=torch.float32),
        )
    if config.semantic:
        terms["semantic"] = config.semantic * semantic_loss(output.predictions[-1], truth)
    return terms


def mean_over_processes(count: Tensor) -> Tensor:
    """The mean of a count over the processes of a distributed run.

    A sum divided by it, averaged over the processes as DDP does, is the loss of the global batch.
    """
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(count)
        return count / dist.get_world_size()
    return count


def sum_over_processes(values: Tensor) -> Tensor:
    """Sums over the processes of a distributed run, with their gradient: a loss of them is that of the global batch."""
    if dist.is_available() and dist.is_initialized():
        from torch.distributed.nn.functional import all_reduce

        total: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
        return total
    return values


class _Target:
    """True masks of one image: ``classes`` int64 [t], their masks, and ``labelled`` [1, H, W], 0 where unlabelled."""

    def __init__(self, truth: Tensor, classes: int) -> None:
        present = torch.bincount(truth.flatten(), minlength=IGNORE + 1)[:classes] > 0
        self.classes = present.nonzero()[:, 0]
        self.labelled = (truth != IGNORE).float()[None]
        self._masks = (truth == self.classes[:, None, None]).float()

    def at(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Masks [t, P] and validity [P] at points [P, 2] in 0..1 (x, y)."""
        return sample(self._masks, points), nearest(self.labelled, points[None])[0]

    def at_each(self, order: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Masks ``order`` [n] and their validity, each at points of its own [n, P, 2]: [n, P] each."""
        return sample_each(self._masks[order], points), nearest(self.labelled, points)


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of maps [n, H, W] at points [P, 2], (x, y) in 0..1: [n, P]."""
    grid = (2 * points - 1)[None, None].to(maps.dtype)
    return F.grid_sample(maps[None], grid, align_corners=False)[0, :, 0]


def sample_each(maps: Tensor, points: Tensor) -> Tensor:
    """As :func:`sample`, each map at points of its own: [n, H, W] at [n, P, 2] gives [n, P]."""
    return F.grid_sample(maps[:, None], (2 * points - 1)[:, None].to(maps.dtype), align_corners=False)[:, 0, 0]


def nearest(maps: Tensor, points: Tensor) -> Tensor:
    """The value of the pixel that a point lies in: one map [1, H, W] at points [n, P, 2] gives [n, P]."""
    # Not bilinear: outside of the image is zero, so that points by its edge would pass for unlabelled.
    return F.grid_sample(maps[None], (2 * points - 1)[None], "nearest", "border", align_corners=False)[0, 0]


def uncertain_points(logits: Tensor, labelled: Tensor, count: int) -> Tensor:
    """Points [n, count, 2] for the loss on masks [n, h, w]: 3/4 the most uncertain of 3 x count, the rest uniform.

    PointRend's importance sampling, as Mask2Former uses it, except that unlabelled points (``labelled`` [1, H, W] is
    0) come last: they would count for nothing.
    """
    n = logits.shape[0]
    points = torch.rand(n, 3 * count, 2, device=logits.device)
    certainty = sample_each(logits, points).abs().masked_fill(nearest(labelled, points) == 0, torch.inf)
    chosen = (-certainty).topk(3 * count // 4, dim=1).indices
    important = points.gather(1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat((important, torch.rand(n, count - important.shape[1], 2, device=logits.device)), 1)


def _add(total: dict[str, Tensor], terms: dict[str, Tensor]) -> None:
    for name, value in terms.items():
        total[name] = total[name] + value


def _pair_losses(
    prediction: Prediction,
    targets: list[_Target],
    pairs: list[tuple[Tensor, Tensor]],
    masks_total: Tensor,
    config: LossConfig,
) -> dict[str, Tensor]:
    no_object = prediction.class_logits.shape[-1] - 1
    true_classes = torch.full(
        prediction.class_logits.shape[:2], no_object, dtype=torch.int64, device=prediction.class_logits.device
    )
    for b, (queries, matched) in enumerate(pairs):
        true_classes[b, queries] = targets[b].classes[matched]
    weight = torch.ones(no_object + 1, device=true_classes.device)
    weight[no_object] = config.no_object
    logits = prediction.class_logits.float().flatten(0, 1)
    classification = F.cross_entropy(logits, true_classes.flatten(), weight=weight)
    masks = [prediction.mask_logits[b][queries] for b, (queries, _) in enumerate(pairs)]
    mask, dice = _mask_losses(masks, targets, [matched for _, matched in pairs], masks_total, config)
    return {"classification": config.classification * classification, "mask": mask, "dice": dice}


def _guided_losses(
    prediction: Prediction, targets: list[_Target], masks_total: Tensor, config: LossConfig
) -> list[Tensor]:
    """Guidance query k stands for class k: no matching, and no loss where the image lacks its class."""
    logits = torch.cat([prediction.class_logits[b, t.classes] for b, t in enumerate(targets)]).float()
    truth = torch.cat([t.classes for t in targets])
    classification = F.cross_entropy(logits, truth, reduction="sum") / masks_total
    masks = [prediction.mask_logits[b][t.classes] for b, t in enumerate(targets)]
    order = [torch.arange(len(t.classes), device=truth.device) for t in targets]
    return [config.classification * classification, *_mask_losses(masks, targets, order, masks_total, config)]


def _mask_losses(
    masks: list[Tensor], targets: list[_Target], matched: list[Tensor], masks_total: Tensor, config: LossConfig
) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy and dice of mask logits [t_b, h, w] against the matched true masks, at sampled points."""
    bce = dice = torch.zeros((), device=masks[0].device)
    for logits, target, order in zip(masks, targets, matched, strict=True):
        if not len(order):
            bce = bce + logits.sum()  # of nothing: 0, but DDP waits for a gradient of every parameter
            continue
        with torch.no_grad():
            points = uncertain_points(logits.float(), target.labelled, config.points)
            true, valid = target.at_each(order, points)
        x = sample_each(logits.float(), points)
        count = valid.sum(1).clamp(min=1)
        bce = bce + ((F.binary_cross_entropy_with_logits(x, true, reduction="none") * valid).sum(1) / count).sum()
        p, t = x.sigmoid() * valid, true * valid
        dice = dice + (1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).sum()
    return config.mask * bce / masks_total, config.dice * dice / masks_total


def semantic_loss(prediction: Prediction, truth: Tensor) -> Tensor:
    """Of the class scores that inference takes the argmax of, at the size of the labels: cross-entropy, and 1 - IoU.

    Cross-entropy alone leaves thin and rare classes to their neighbours; IoU is what they are judged by.
    """
    shares = upsample(class_shares(prediction), (truth.shape[1], truth.shape[2])).float()
    entropy = F.nll_loss(shares.clamp(min=1e-6).log(), truth, ignore_index=IGNORE, reduction="sum")
    return entropy / mean_over_processes((truth != IGNORE).sum().float()).clamp(min=1) + soft_jaccard(shares, truth)


def soft_jaccard(shares: Tensor, truth: Tensor) -> Tensor:
    """1 - IoU of soft masks [B, K, H, W] over a whole batch, the mean over the classes that occur in it."""
    labelled = (truth != IGNORE)[:, None]
    true = labelled & (truth[:, None] == torch.arange(shares.shape[1], device=truth.device)[:, None, None])
    sums = [x.sum((0, 2, 3)) for x in (true.to(shares.dtype), shares * true, shares * labelled)]
    area, common, found = sum_over_processes(torch.stack(sums))
    union = found + area - common
    present = (area > 0).float()
    return ((1 - common / union.clamp(min=1)) * present).sum() / present.sum().clamp(min=1)
