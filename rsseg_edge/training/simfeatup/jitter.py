"""The jitter of SimFeatUp's training: the same pad, zoom, shift and mirror for an image and its upsampled features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rsseg_edge.errors import UsageError


@dataclass(frozen=True)
class Jitter:
    """A view of an image: reflected over its border, enlarged, cut out at its own size, and mirrored or not.

    Attributes:
        pad: pixels of reflected border.
        zoom: bilinear enlargement, 1 or more.
        top: first row of the cut in the enlarged image.
        left: first column.
        mirrored: left and right are exchanged.
    """

    pad: int
    zoom: float
    top: int
    left: int
    mirrored: bool

    def __call__(self, x: Tensor) -> Tensor:
        """Maps [B, H, W, C] to [B, H, W, C].

        Bilinear enlargement takes rows and columns apart, so that each output row is a mix of two input rows: the
        padded and enlarged image is never written. Linear in x, the same for every channel, and it keeps constants.
        """
        rows = self._lines(x.shape[1], self.top, x.device)
        columns = self._lines(x.shape[2], self.left, x.device)
        if self.mirrored:
            columns = tuple(line.flip(0) for line in columns)
        return _mix(_mix(x, 1, *rows), 2, *columns)

    def _lines(self, size: int, start: int, device: torch.device) -> tuple[Tensor, ...]:
        """Of every output line the two input lines that it lies between, int64 [size], and the share of the second."""
        last = size + 2 * self.pad - 1
        position = (torch.arange(size, dtype=torch.float64) + start + 0.5) / self.zoom - 0.5
        position = position.clamp(0, last)
        low = position.floor()
        share = position - low
        pair = torch.stack((low, (low + 1).clamp(max=last))).long() - self.pad
        pair = (size - 1) - ((size - 1) - pair.abs()).abs()  # reflected over both borders
        return pair[0].to(device), pair[1].to(device), share.to(device)


def draw_jitter(height: int, width: int, *, pad: int, zoom: float, generator: torch.Generator | None = None) -> Jitter:
    """A random view: enlarged in half of the cases, by up to ``zoom``, and mirrored in half of them.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        pad: pixels of reflected border.
        zoom: greatest enlargement.
        generator: torch's own where none is given.

    Raises:
        UsageError: the image is too small for its border.
    """
    if min(height, width) <= pad:
        raise UsageError(f"crops of {height} x {width} pixels: a border of {pad} needs at least {pad + 1}")
    mirrored, enlarged, share = torch.rand(3, generator=generator).tolist()
    factor = 1 + (zoom - 1) * share if enlarged > 0.5 else 1.0
    free = (int((size + 2 * pad) * factor) - size + 1 for size in (height, width))
    top, left = (int(torch.randint(count, (), generator=generator)) for count in free)
    return Jitter(pad, factor, top, left, mirrored > 0.5)


def _mix(x: Tensor, dim: int, low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    if not share.any():
        return x.index_select(dim, low)
    shape = [1] * x.ndim
    shape[dim] = -1
    return torch.lerp(x.index_select(dim, low), x.index_select(dim, high), share.to(x.dtype).view(shape))
