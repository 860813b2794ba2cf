"""SimFeatUp: CLIP's patch tokens upsampled to pixels, guided by the image (METHODS 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.kernels.torch_ops import (
    adaptive_upsample,
    adaptive_upsample_classify,
    bilateral_kernel,
    fixup_kernel,
    pixel_mlp,
)
from rsseg_edge.models.segearth_ov.config import UpsamplerKind
from rsseg_edge.models.segearth_ov.weights import load_weights

RADIUS: dict[UpsamplerKind, int] = {"jbu_one": 5, "jbu_stack": 3}
STAGES = 4
RANGE_CHANNELS = 32

Upsampler = TypeVar("Upsampler", bound="SimFeatUp")


class SimFeatUp(nn.Module):
    """Four learned joint bilateral upsamplings by 2: JBUOne applies one of them four times, JBUStack has four.

    Two exact rewrites against the published order of operations, which ``reference.py`` keeps:

    * The stages are linear in the features and the same for every channel, so the last layer y + 0.1 (W y + b) commutes
      with them: its matrix is applied to the tokens, 256 times fewer, and 0.1 b is added at the end.
    * Kernels depend on the guidance alone: ``kernels`` computes them once an image, for any features and text.

    Args:
        channels: C of the features.
        kind: "jbu_one" (windows of 11 x 11) or "jbu_stack" (7 x 7).
    """

    def __init__(self, channels: int, kind: UpsamplerKind) -> None:
        super().__init__()
        self.channels = channels
        self.radius = RADIUS[kind]
        # The published names: "up" of JBUOne, "up1" to "up4" of JBUStack.
        self.names = ["up"] * STAGES if kind == "jbu_one" else [f"up{i + 1}" for i in range(STAGES)]
        for name in dict.fromkeys(self.names):
            self.add_module(name, JointBilateralUpsampler(self.radius))
        self.fixup_proj = nn.Sequential(ChannelDropout(0.2), nn.Linear(channels, channels))

    @classmethod
    def from_official(cls: type[Upsampler], state: Mapping[str, Tensor], kind: UpsamplerKind) -> Upsampler:
        """From the published state dict of JBUOne or JBUStack: frozen, in evaluation mode.

        Raises:
            UsageError: no such kind, or the weights are not of it.
        """
        if kind not in RADIUS:
            raise UsageError(f"unknown upsampler '{kind}': there are {', '.join(RADIUS)}")
        # Published as 1x1 convolutions [out, in, 1, 1]; channels last they are linear layers.
        weights = {key: tensor.flatten(1) if tensor.ndim == 4 else tensor for key, tensor in state.items()}
        if "fixup_proj.1.weight" not in weights:
            raise UsageError(f"upsampler weights: no fixup_proj.1.weight, which {kind} has")
        upsampler = cls(weights["fixup_proj.1.weight"].shape[0], kind)
        load_weights(upsampler, weights, f"upsampler weights for {kind}")
        return upsampler.eval().requires_grad_(False)

    @property
    def stages(self) -> list[JointBilateralUpsampler]:
        """The upsamplers in order; JBUOne's is there four times."""
        return [cast(JointBilateralUpsampler, self.get_submodule(name)) for name in self.names]

    @property
    def projection(self) -> nn.Linear:
        """The last layer, W and b."""
        return cast(nn.Linear, self.fixup_proj[1])

    def forward(self, features: Tensor, guidance: Tensor) -> Tensor:
        """Features [B, C, h, w] and guidance [B, 3, H, W], normalised RGB, to features [B, C, 16h, 16w]."""
        tokens = features.permute(0, 2, 3, 1)
        upsampled = self.upsample(tokens, self.kernels(guidance, (features.shape[2], features.shape[3])))
        return upsampled.permute(0, 3, 1, 2)

    def kernels(self, guidance: Tensor, grid: tuple[int, int]) -> list[Tensor]:
        """Kernels of every stage from the guidance alone.

        Args:
            guidance: normalised RGB, [B, 3, H, W].
            grid: h and w of the tokens.

        Returns:
            [B, 2h, 2w, K * K], [B, 4h, 4w, K * K] and so on.

        Raises:
            UsageError: the window of the first stage does not fit its reflected border.
        """
        if 2 * min(grid) <= self.radius:
            least = self.radius // 2 + 1
            raise UsageError(f"image of {grid[0]} x {grid[1]} patches: the upsampler needs at least {least} x {least}")
        kernels = []
        for i, stage in enumerate(self.stages, start=1):
            pooled = F.adaptive_avg_pool2d(guidance, (grid[0] * 2**i, grid[1] * 2**i))
            kernels.append(stage(pooled.permute(0, 2, 3, 1)))
        return kernels

    def upsample(self, tokens: Tensor, kernels: list[Tensor], maps: Tensor | None = None) -> Tensor:
        """Tokens [B, h, w, C] to features [B, 16h, 16w, C].

        ``maps`` [B, C, D] gives the features times these, [B, 16h, 16w, D]: a linear map of the channels commutes
        with the upsampling, so that only D channels are upsampled.
        """
        x, bias = self._mix(tokens), self._bias()
        if maps is not None:
            x, bias = x @ maps[:, None], (bias @ maps)[:, None, None]
        for kernel in kernels:
            x = adaptive_upsample(x, kernel, self.radius)
        return x + bias

    def classify(self, tokens: Tensor, kernels: list[Tensor], text: Tensor) -> Tensor:
        """Cosine of every upsampled feature with every text feature; the upsampled features are never written.

        Args:
            tokens: [B, h, w, C].
            kernels: see :meth:`kernels`.
            text: [Q, C], rows of length 1.

        Returns:
            [B, 16h, 16w, Q], -1 to 1.
        """
        x = self._mix(tokens)
        for kernel in kernels[:-1]:
            x = adaptive_upsample(x, kernel, self.radius)
        return adaptive_upsample_classify(x, kernels[-1], self._bias(), text, self.radius)

    def _mix(self, tokens: Tensor) -> Tensor:
        return tokens + 0.1 * (self.fixup_proj[0](tokens) @ self.projection.weight.T)

    def _bias(self) -> Tensor:
        return 0.1 * self.projection.bias


class JointBilateralUpsampler(nn.Module):
    """One stage's kernels: similarity of learned range features times a Gaussian, then a learned correction.

    The published ``JBULearnedRange``, its parameters under their names. Guidance [B, H, W, 3] to kernels
    [B, H, W, K * K], K = 2 * radius + 1, rows of a window one after the other.
    """

    def __init__(self, radius: int) -> None:
        super().__init__()
        self.radius = radius
        window = (2 * radius + 1) ** 2
        self.range_temp = nn.Parameter(torch.tensor(0.0))
        self.sigma_spatial = nn.Parameter(torch.tensor(1.0))
        self.range_proj = _perceptron(3, RANGE_CHANNELS)
        self.fixup_proj = _perceptron(window + 3, window)

    def forward(self, guidance: Tensor) -> Tensor:
        if self.training:  # channels drop out between the layers
            kernel = bilateral_kernel(self.range_proj(guidance), self.spatial(), self.temperature(), self.radius)
            return kernel + 0.1 * cast(Tensor, self.fixup_proj(torch.cat((kernel, guidance), -1)))
        range_features = pixel_mlp(guidance, *_parameters(self.range_proj))
        kernel = bilateral_kernel(range_features, self.spatial(), self.temperature(), self.radius)
        weight1, bias1, weight2, bias2 = _parameters(self.fixup_proj)
        return fixup_kernel(kernel, guidance, weight1, bias1, 0.1 * weight2, 0.1 * bias2)

    def spatial(self) -> Tensor:
        """exp(-|o|^2 / (2 sigma^2)) for offsets o of -1 to 1 over the window: [K * K]."""
        steps = torch.linspace(-1, 1, 2 * self.radius + 1).to(self.sigma_spatial)
        squared = steps.square()[:, None] + steps.square()
        return torch.exp(-squared / (2 * self.sigma_spatial**2)).flatten()

    def temperature(self) -> Tensor:
        """The factor of the range similarities, 1e-4 to 1e4: [1]."""
        return self.range_temp.exp().clamp(1e-4, 1e4).reshape(1)


class ChannelDropout(nn.Module):
    """``nn.Dropout2d`` for channels last: whole channels of [B, H, W, C] in training, nothing in evaluation."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * F.dropout(x.new_ones(len(x), 1, 1, x.shape[-1]), self.probability)


def _parameters(perceptron: nn.Sequential) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    first, last = cast(nn.Linear, perceptron[0]), cast(nn.Linear, perceptron[-1])
    return first.weight, first.bias, last.weight, last.bias


def _perceptron(d_in: int, d_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(d_in, d_out), nn.GELU(), ChannelDropout(0.1), nn.Linear(d_out, d_out))
