"""The whole SimFeatUp upsampler on our operators: what the benchmark times and the golden vectors check."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.kernels.torch_ops import (
    adaptive_upsample,
    adaptive_upsample_classify,
    bilateral_kernel,
    fixup_kernel,
    pixel_mlp,
)

Weights = Mapping[str, Tensor]


class Upsampler(torch.nn.Module):
    """Four stages of x2, from tokens [B, h, w, C] to [B, 16h, 16w, C].

    The last 1x1 convolution, y + 0.1 (W y + b), is applied to the tokens: the stages are linear in the features and the
    same for every channel, so it commutes with them, all but its bias: 256 times cheaper.

    Args:
        weights: the published state dict of JBUOne (``up.*``) or JBUStack (``up1.*`` to ``up4.*``).
        radius: 5 for JBUOne, 3 for JBUStack.
        text: [Q, C]; with it the last stage gives cosine logits [B, 16h, 16w, Q] and writes no features.
    """

    mixing: Tensor
    bias: Tensor
    text: Tensor | None

    def __init__(self, weights: Weights, radius: int, text: Tensor | None = None) -> None:
        super().__init__()
        stack = "up1.range_temp" in weights
        self.radius = radius
        self.stages = torch.nn.ModuleList(Stage(weights, f"up{i}." if stack else "up.", radius) for i in range(1, 5))
        matrix = weights["fixup_proj.1.weight"].flatten(1)
        self.register_buffer("mixing", (torch.eye(len(matrix)) + 0.1 * matrix).T.contiguous())
        self.register_buffer("bias", 0.1 * weights["fixup_proj.1.bias"])
        self.register_buffer("text", text)

    def forward(self, tokens: Tensor, guidance: Tensor) -> Tensor:
        """Tokens [B, h, w, C], guidance [B, 3, 16h, 16w]."""
        x = tokens @ self.mixing
        for i, stage in enumerate(self.stages):
            size = (tokens.shape[1] * 2 ** (i + 1), tokens.shape[2] * 2 ** (i + 1))
            kernel = stage(F.adaptive_avg_pool2d(guidance, size).permute(0, 2, 3, 1))
            if self.text is not None and i == 3:
                return adaptive_upsample_classify(x, kernel, self.bias, self.text, self.radius)
            x = adaptive_upsample(x, kernel, self.radius)
        return x + self.bias


class Stage(torch.nn.Module):
    """One learned joint bilateral upsampler: its kernels [B, H, W, K * K] from the guidance [B, H, W, 3]."""

    spatial: Tensor
    temperature: Tensor

    def __init__(self, weights: Weights, prefix: str, radius: int) -> None:
        super().__init__()
        self.radius = radius
        self.range = torch.nn.ParameterList(_perceptron(weights, f"{prefix}range_proj."))
        first, first_bias, last, last_bias = _perceptron(weights, f"{prefix}fixup_proj.")
        self.fixup = torch.nn.ParameterList((first, first_bias, 0.1 * last, 0.1 * last_bias))
        steps = torch.linspace(-1, 1, 2 * radius + 1)
        distance = steps[:, None] ** 2 + steps**2
        self.register_buffer("spatial", (-distance / (2 * weights[f"{prefix}sigma_spatial"] ** 2)).exp().flatten())
        self.register_buffer("temperature", weights[f"{prefix}range_temp"].exp().clamp(1e-4, 1e4).reshape(1))

    def forward(self, guidance: Tensor) -> Tensor:
        range_features = pixel_mlp(guidance, *self.range)
        kernel = bilateral_kernel(range_features, self.spatial, self.temperature, self.radius)
        return fixup_kernel(kernel, guidance, *self.fixup)


def _perceptron(weights: Weights, prefix: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # The published layers are 1x1 convolutions numbered 0 and 3, with GELU and dropout between.
    first, last = (weights[f"{prefix}{index}.weight"].flatten(1) for index in (0, 3))
    return first, weights[f"{prefix}0.bias"], last, weights[f"{prefix}3.bias"]
