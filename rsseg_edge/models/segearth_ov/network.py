"""SegEarth-OV: open-vocabulary segmentation without training (METHODS 3; Li et al., CVPR 2025)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.segearth_ov.bilinear import Bilinear
from rsseg_edge.models.segearth_ov.config import InferenceConfig, SegEarthOVConfig, UpsamplerKind, Variant, validated
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp
from rsseg_edge.models.segearth_ov.text import TextEncoder, TextFeatures
from rsseg_edge.models.segearth_ov.vit import DenseViT
from rsseg_edge.models.segearth_ov.weights import load_clip, load_upsampler_state, load_weights
from rsseg_edge.preprocess.windows import pad_to_multiple, windows


class OpenVocabulary(nn.Module):
    """What every SegEarth-OV shares: a dense vision transformer and an upsampler, compared with text features.

    Images are RGB [B, 3, H, W], normalised as CLIP's, of the size that the network works at. Text is [Q, D], rows of
    length 1.

    Args:
        vit: gives patch tokens and a class token in the space of the text features.
        upsampler: of as many channels.
        inference: see :class:`InferenceConfig`.

    Raises:
        UsageError: the upsampler is of another width.
    """

    def __init__(self, vit: DenseViT, upsampler: SimFeatUp | Bilinear, inference: InferenceConfig) -> None:
        super().__init__()
        self.vit = vit
        if upsampler.channels != self.vit.channels:
            raise UsageError(
                f"upsampler weights are for features of {upsampler.channels} channels; this CLIP's have "
                f"{self.vit.channels}"
            )
        self.upsampler = upsampler
        self.inference = inference

    def crop_logits(self, image: Tensor, text: Tensor) -> Tensor:
        """Cosines of every pixel with every query, less the global bias, of whole images: [B, Q, H, W].

        Sides that are no multiple of the patch are padded with zeros around.
        """
        return self.upsampled_logits(image, text, self.upsampler)[0]

    def upsampled_logits(self, image: Tensor, text: Tensor, *upsamplers: SimFeatUp | Bilinear) -> list[Tensor]:
        """What :meth:`crop_logits` gives, by each of several upsamplers in the place of the network's own."""
        height, width = image.shape[2:]
        top, bottom = pad_to_multiple(height, self.vit.patch_size)
        left, right = pad_to_multiple(width, self.vit.patch_size)
        padded = F.pad(image, (left, right, top, bottom))
        tokens, class_token = self.vit(padded)
        bias = self.inference.cls_token_lambda * (F.normalize(class_token, dim=-1) @ text.T)
        found = []
        for upsampler in upsamplers:
            kernels = upsampler.kernels(padded, (tokens.shape[1], tokens.shape[2]))
            logits = upsampler.classify(tokens, kernels, text).permute(0, 3, 1, 2) + bias[:, :, None, None]
            if logits.shape[2:] != padded.shape[2:]:  # patches of other than 16 pixels
                logits = F.interpolate(logits, padded.shape[2:], mode="bilinear", align_corners=False)
            found.append(logits[:, :, top : top + height, left : left + width])
        return found

    def logits(self, image: Tensor, text: Tensor) -> Tensor:
        """The same through a sliding window, averaged where windows overlap: [B, Q, H, W]."""
        height, width = image.shape[2:]
        crop, stride = self.inference.slide_crop, self.inference.slide_stride
        total = image.new_zeros(len(image), len(text), height, width)
        count = image.new_zeros(height, width)
        for top, bottom in windows(height, crop, stride):
            for left, right in windows(width, crop, stride):
                total[:, :, top:bottom, left:right] += self.crop_logits(image[:, :, top:bottom, left:right], text)
                count[top:bottom, left:right] += 1
        return total / count

    def predict(self, image: Tensor, text: Tensor, class_index: Tensor | None = None) -> Tensor:
        """Class of every pixel: uint8 [B, H, W].

        Args:
            image: see the class.
            text: [Q, D].
            class_index: int64 [Q], class of each query. Default: that of ``text_features``, and one class a query where
                ``text`` is another tensor.

        Raises:
            UsageError: the background's index is not one of the classes.
        """
        if class_index is None:
            class_index = getattr(text, "class_index", torch.arange(len(text), device=text.device))
        scores = class_scores(self.inference.logit_scale * self.logits(image, text), class_index)
        if self.inference.bg_idx >= scores.shape[1]:
            raise UsageError(f"background is class {self.inference.bg_idx}, from 0, of {scores.shape[1]} classes")
        best, class_map = scores.max(1)
        class_map[best < self.inference.prob_thd] = self.inference.bg_idx
        return class_map.to(torch.uint8)


class SegEarthOV(OpenVocabulary):
    """CLIP's vision transformer, SimFeatUp and CLIP's text encoder: frozen, in evaluation mode.

    Images are of long side 448, as the method works. Text is what ``text_features`` gives, or any rows of length 1,
    which are then a class each.

    Args:
        clip: an open_clip model; its towers are taken apart.
        tokenizer: open_clip's for it.
        upsampler: of as many channels as CLIP's joint space.
        inference: see :class:`InferenceConfig`.

    Raises:
        UsageError: the image tower is no plain vision transformer, or the upsampler is of another width.
    """

    upsampler: SimFeatUp

    def __init__(self, clip: Any, tokenizer: Any, upsampler: SimFeatUp, inference: InferenceConfig) -> None:
        vit = DenseViT(clip.visual, inference.variant, ignore_residual=inference.ignore_residual)
        super().__init__(vit, upsampler, inference)
        clip.visual = None  # it lives on in self.vit: its weights belong into the state dict once
        self.text_encoder = TextEncoder(clip, tokenizer)
        self.eval().requires_grad_(False)

    @classmethod
    def from_official(
        cls,
        clip_state: Mapping[str, Tensor],
        upsampler_state: Mapping[str, Tensor],
        *,
        clip_config: Mapping[str, Any],
        upsampler: UpsamplerKind = "jbu_one",
        variant: Variant = "SegEarth",
        ignore_residual: bool = True,
        cls_token_lambda: float = -0.3,
        logit_scale: float = 50,
        prob_thd: float = 0.0,
        bg_idx: int = 0,
        slide_crop: int = 224,
        slide_stride: int = 112,
    ) -> SegEarthOV:
        """From state dicts with the published key names.

        Args:
            clip_state: of an open_clip model with CLIP's own tokenizer.
            upsampler_state: of JBUOne or JBUStack.
            clip_config: that model's ``embed_dim``, ``vision_cfg`` and ``text_cfg``, as in open_clip's model files.
            upsampler: what ``upsampler_state`` is of.
            variant: see :class:`InferenceConfig`, as for the arguments after it.

        Raises:
            UsageError: weights of another size than the configuration, or a setting out of its range.
        """
        import open_clip

        inference = validated(
            InferenceConfig,
            {
                "variant": variant,
                "ignore_residual": ignore_residual,
                "cls_token_lambda": cls_token_lambda,
                "logit_scale": logit_scale,
                "prob_thd": prob_thd,
                "bg_idx": bg_idx,
                "slide_crop": slide_crop,
                "slide_stride": slide_stride,
            },
        )
        clip = open_clip.CLIP(**clip_config)
        # OpenAI's files carry three numbers beside their weights.
        numbers = {"input_resolution", "context_length", "vocab_size"}
        load_weights(clip, {k: v for k, v in clip_state.items() if k not in numbers}, "CLIP weights")
        tokenizer = open_clip.SimpleTokenizer(context_length=clip.context_length)
        return cls(clip, tokenizer, SimFeatUp.from_official(upsampler_state, upsampler), inference)

    @classmethod
    def from_files(cls, config: SegEarthOVConfig, upsampler_weights: Path) -> SegEarthOV:
        """From a configuration, which names CLIP and its weights, and a checkpoint of its upsampler.

        Raises:
            UsageError: a model or file that is not there, or does not fit the other.
        """
        upsampler = SimFeatUp.from_official(load_upsampler_state(upsampler_weights), config.upsampler)
        return cls(*load_clip(config.clip, config.clip_weights), upsampler, config.inference)

    def text_features(self, names: Sequence[str]) -> TextFeatures:
        """Text features [Q, D] of classes, each a string of comma-separated synonyms, a query each.

        Raises:
            UsageError: see :meth:`TextEncoder.encode`.
        """
        return self.text_encoder.encode(names)


def class_scores(logits: Tensor, class_index: Tensor) -> Tensor:
    """Probability of every class: the softmax over the queries, then the best of a class's synonyms.

    Args:
        logits: [B, Q, H, W].
        class_index: int64 [Q], class of each query, from 0 without gaps.

    Returns:
        [B, K, H, W]; sums to less than 1 where classes have synonyms.
    """
    probability = logits.softmax(1)
    classes = range(int(class_index.max()) + 1)
    return torch.stack([probability[:, class_index == k].amax(1) for k in classes], 1)
