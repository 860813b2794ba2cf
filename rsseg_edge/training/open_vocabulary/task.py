"""Region-text and crop-text contrast: what the small open-vocabulary network learns from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.models.segearth_ov.tiny.network import SegEarthOVTiny
from rsseg_edge.models.segearth_ov.tiny.stem import CLIP_MEAN, CLIP_STD
from rsseg_edge.training.losses import IGNORE, mean_over_processes, sum_over_processes
from rsseg_edge.training.task import Task

DRAWS = 8  # of one word a class, each a vocabulary of its own
ABSENT = 12  # words of a draw that are not in the picture
PRESENT = 0.02  # share of a crop above which a class is in its caption
WEIGHTS = {"region": 1.0, "overlap": 0.5, "centre": 1.0, "crop": 0.2, "caption": 0.2}


class OpenVocabularyTask(Task):
    """Patch tokens against words, class tokens against words and captions.

    - ``region``: softmax over a vocabulary of one word a class, drawn anew, and of words for what is absent; the truth
      is the share of each class among a patch's pixels. With the class token's share subtracted, as in inference.
    - ``overlap``: 1 - IoU of the same, which thin and rare classes are judged by.
    - ``centre``: 1 - cosine to the mean direction of a class's words, mixed by the same shares. Words that were never
      trained lie around it, between those that were.
    - ``crop``: the class token, by the same softmax, against the shares of the whole crop.
    - ``caption``: the class token against one caption of every set of classes; that of the set in the crop is right.

    Args:
        network: with ``text_mean`` set.
        words: features of each class's words, [n_k, D], as the sentence encoder gives them, like those that follow.
        absent: [n, D].
        captions: [S, V, D], V captions of each of S sets of classes.
        members: bool [S, K], the sets.
    """

    words: Tensor
    captions: Tensor
    members: Tensor
    centres: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self, network: SegEarthOVTiny, words: Sequence[Tensor], absent: Tensor, captions: Tensor, members: Tensor
    ) -> None:
        super().__init__()
        self.network: SegEarthOVTiny = network
        words = [network.directions(own) for own in words]
        self.register_buffer("words", torch.cat([*words, network.directions(absent)]))
        self.register_buffer("captions", network.directions(captions))
        self.register_buffer("members", members)
        self.register_buffer("centres", F.normalize(torch.stack([w.mean(0) for w in words]), dim=-1))
        self.register_buffer("mean", torch.tensor(CLIP_MEAN)[:, None, None] * 255)
        self.register_buffer("std", torch.tensor(CLIP_STD)[:, None, None] * 255)
        self._counts = [len(w) for w in words]

    def forward(self, *batch: Tensor) -> dict[str, Tensor]:
        """Loss terms of images float [B, 3, S, S] in 0..255 and labels int64 [B, S, S], 255 = unlabelled."""
        image, truth = batch
        network = self.network
        tokens, class_token = network.vit((image - self.mean) / self.std)
        tokens, class_token = F.normalize(tokens.float(), dim=-1), F.normalize(class_token.float(), dim=-1)
        share = patch_shares(truth, len(self._counts), network.vit.patch_size)
        total = mean_over_processes(share.sum()).clamp(min=1)

        columns = self._draw()
        scale, bias = network.inference.logit_scale, class_token @ self.words.T
        cosines = tokens @ self.words.T + network.inference.cls_token_lambda * bias.detach()[:, None, None]
        drawn = (scale * cosines)[..., columns]
        entropy = -(share[..., None, :] * drawn.log_softmax(-1)[..., : share.shape[-1]]).sum() / len(columns)
        centre = (share @ self.centres).norm(dim=-1) - (tokens * (share @ self.centres)).sum(-1)

        area = share.sum((1, 2))
        labelled = area.sum(1) > 0.5 * share.shape[1] * share.shape[2]  # what the rest shows, nobody knows
        area = area / area.sum(1, keepdim=True).clamp(min=1e-6)
        crops = mean_over_processes(labelled.sum().float()).clamp(min=1)
        by_word = (scale * bias)[..., columns].log_softmax(-1)[..., : share.shape[-1]]
        crop = -(area[:, None] * by_word).sum((1, 2)) / len(columns)
        terms = {
            "region": entropy / total,
            "overlap": _overlap(drawn.softmax(-1)[..., : share.shape[-1]], share),
            "centre": centre.sum() / total,
            "crop": (crop * labelled).sum() / crops,
            "caption": (self._caption_entropy(class_token, area) * labelled).sum() / crops,
        }
        return {name: WEIGHTS[name] * term for name, term in terms.items()}

    def _draw(self) -> Tensor:
        """Indices into ``words``: int64 [DRAWS, K + ABSENT], a word of each class and words that are absent."""
        device, columns, first = self.words.device, [], 0
        for count in self._counts:
            columns.append(first + torch.randint(count, (DRAWS, 1), device=device))
            first += count
        absent = torch.randint(first, len(self.words), (DRAWS, ABSENT), device=device)
        return torch.cat([*columns, absent], 1)

    def _caption_entropy(self, class_token: Tensor, area: Tensor) -> Tensor:
        present = area > PRESENT
        present |= area == area.amax(1, keepdim=True)
        truth = (present[:, None] == self.members).all(-1).float().argmax(1)
        sets, variants, _ = self.captions.shape
        chosen = torch.randint(variants, (sets,), device=area.device)
        captions = self.captions[torch.arange(sets, device=area.device), chosen]
        logits = self.network.inference.logit_scale * class_token @ captions.T
        return F.cross_entropy(logits, truth, reduction="none")


def patch_shares(truth: Tensor, classes: int, patch: int) -> Tensor:
    """Share of every class among a patch's pixels: labels int64 [B, H, W] to float [B, H / patch, W / patch, K].

    They sum to the share of pixels that are labelled at all.
    """
    one_hot = F.one_hot(truth.masked_fill(truth == IGNORE, classes), classes + 1)[..., :classes]
    return F.avg_pool2d(one_hot.permute(0, 3, 1, 2).float(), patch).permute(0, 2, 3, 1)


def _overlap(found: Tensor, share: Tensor) -> Tensor:
    """1 - IoU over the batch of soft masks [B, h, w, R, K] with shares [B, h, w, K], of the classes that occur."""
    true = share[..., None, :]
    # Of the labelled part alone: where nobody labelled, nothing is found wrongly.
    found = found * share.sum(-1)[..., None, None]
    sums = [x.sum((0, 1, 2)) for x in (true.expand_as(found), torch.minimum(found, true), found)]
    area, common, all_found = sum_over_processes(torch.stack(sums))
    present = (area > 0).float()
    loss = (1 - common / (area + all_found - common).clamp(min=1e-6)) * present
    return loss.sum() / present.sum().clamp(min=1)
