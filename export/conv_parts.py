"""Convolutions for exporters: with their BatchNorm, cut by what they read, and as operators with their ReLU."""

from __future__ import annotations

import copy

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rsseg_edge.kernels.torch_ops import conv3x3_relu, upsample_conv3x3_relu


def fold(block: nn.Sequential) -> nn.Conv2d:
    """The convolution of a convolution and a BatchNorm in evaluation mode; a ReLU after them is left to the caller."""
    conv, norm = copy.deepcopy(block[0]), copy.deepcopy(block[1])
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv, norm)


def take_inputs(conv: nn.Conv2d, begin: int, end: int, *, bias: bool) -> nn.Conv2d:
    """The part of a convolution that reads the channels from ``begin`` to ``end``; the parts' sum is the whole."""
    side, padding = conv.kernel_size[0], conv.padding[0]
    assert not isinstance(padding, str)
    part = nn.Conv2d(end - begin, conv.out_channels, side, padding=padding, bias=bias)
    part.weight = nn.Parameter(conv.weight[:, begin:end].detach().clone())
    if bias:
        assert conv.bias is not None
        part.bias = nn.Parameter(conv.bias.detach().clone())
    return part


class ConvRelu(nn.Module):
    """The ReLU of a 3x3 convolution of stride 1 and padding 1, one operator of ours: [B, C, H, W] to [B, D, H, W].

    ``addend`` [1, D, H, W] is added before the ReLU.
    """

    bias: Tensor

    def __init__(self, conv: nn.Conv2d, addend: Tensor | None = None) -> None:
        super().__init__()
        assert conv.kernel_size == (3, 3)
        assert (conv.stride, conv.padding, conv.dilation, conv.groups) == ((1, 1), (1, 1), (1, 1), 1)
        self.weight = nn.Parameter(conv.weight.detach().clone())
        bias = conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().clone()
        bias = bias[None, :, None, None]
        self.register_buffer("bias", bias if addend is None else bias + addend, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return conv3x3_relu(x, self.weight, self.bias)


class UpsampleConvRelu(ConvRelu):
    """The same of a map that is enlarged by two first: [B, C, H, W] to [B, D, 2H, 2W]."""

    def forward(self, x: Tensor, detail: Tensor | None = None) -> Tensor:
        """``detail`` [1, D, 2H, 2W] is added before the ReLU."""
        return upsample_conv3x3_relu(x, self.weight, self.bias if detail is None else self.bias + detail)
