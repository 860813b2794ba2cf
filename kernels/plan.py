"""Which Triton kernels an operator launches, with which blocks: one table for PyTorch, the compiler and the plugins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """Block sizes and launch options of one kernel."""

    blocks: dict[str, int]
    warps: int = 4
    stages: int = 2


# Chosen by the resource report, not by timing: no spills, and registers for a quarter to half of an SM's warps. Where
# bandwidth is plentiful wider blocks amortise the weights.
_EDGE = {
    "masked_attention_kernel": Tile({"BLOCK_N": 32, "BLOCK_L": 32}),
    "bilateral_kernel_kernel": Tile({"BLOCK_X": 4, "BLOCK_C": 8}),
    "fold_kernel": Tile({"BLOCK_P": 16, "BLOCK_T": 16}),
    "adaptive_upsample_kernel": Tile({"BLOCK_C": 64}),
    "project_kernel": Tile({"BLOCK_P": 32, "BLOCK_Q": 16, "BLOCK_C": 64}),
    "adaptive_upsample_classify_kernel": Tile({"BLOCK_C": 64, "BLOCK_Q": 16}),
}
_DATACENTRE = {
    **_EDGE,
    "masked_attention_kernel": Tile({"BLOCK_N": 64, "BLOCK_L": 32}),
    "adaptive_upsample_kernel": Tile({"BLOCK_C": 128}),
    "adaptive_upsample_classify_kernel": Tile({"BLOCK_C": 128, "BLOCK_Q": 16}),
}
TILES: dict[int, dict[str, Tile]] = {
    80: _DATACENTRE, 86: _EDGE, 87: _EDGE, 89: _EDGE, 90: _DATACENTRE, 100: _DATACENTRE, 103: _DATACENTRE,
    110: _EDGE, 120: _EDGE, 121: _EDGE,
}  # fmt: skip


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << max(n - 1, 0).bit_length()


def constants(kernel: str, arch: int, *, half: bool, radius: int = 0, depth: int = 0) -> dict[str, int | str]:
    """The compile-time arguments of one variant of a kernel.

    float32 products run on tensor cores in three TF32 steps, which keeps float32's accuracy.
    """
    values: dict[str, int | str] = dict(TILES[arch][kernel].blocks)
    if kernel == "masked_attention_kernel":
        values |= {"DEPTH": depth, "BLOCK_D": max(16, power_of_two(depth))}
        if not half:
            values["BLOCK_N"] = 16  # three TF32 steps hold their operands three times
    if kernel == "bilateral_kernel_kernel":
        values["BLOCK_O"] = power_of_two((2 * radius + 1) ** 2)
        if not half:
            values["BLOCK_C"] = 4  # 16 bytes a load, as in half precision
    if kernel not in ("masked_attention_kernel", "project_kernel"):
        values["RADIUS"] = radius
    if kernel not in ("bilateral_kernel_kernel", "fold_kernel"):
        values["PRECISION"] = "ieee" if half else "tf32x3"
    return values
