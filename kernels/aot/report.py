"""The resource report: what a kernel uses of a GPU, and the fastest that a GPU could run it."""

from __future__ import annotations

from pathlib import Path

from rsseg_edge.kernels.aot.compile import Compiled
from rsseg_edge.kernels.parts import PARTS
from rsseg_edge.kernels.work import launches

BEGIN, END = "<!-- resources: begin -->", "<!-- resources: end -->"
REGISTERS_PER_SM = 65536
QUERIES, HEADS, LENGTH = 100, 8, 16384
SIDE, CHANNELS, CLASSES, RANGE = 112, 512, 16, 32


def write_table(compiled: list[Compiled], readme: Path) -> None:
    """Replace the table between the two marks of a README."""
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    readme.write_text(f"{head}{BEGIN}\n{table(compiled)}\n{END}{tail}")


def table(compiled: list[Compiled]) -> str:
    """A line for every half-precision kernel and part."""
    lines = [
        "| kernel | part | registers | spills | shared, bytes | resident | GFLOP | MB | predicted, ms | bound by |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for c in sorted(compiled, key=lambda c: c.variant.name):
        if not c.variant.half or c.variant.radius == 3 or c.variant.depth in (16, 64):
            continue
        gflop, megabytes = work(c)
        for part in PARTS:
            if part.arch != c.arch:
                continue
            if c.shared > part.shared_per_block:
                raise RuntimeError(f"{c.variant.name} wants {c.shared} bytes of shared memory, {part.name} has less")
            # Tensor cores where products are matrices, else one multiply-add a clock and CUDA core: an eighth of it.
            peak = part.fp16_tflops / (8 if c.variant.kernel in ("bilateral_kernel_kernel", "fold_kernel") else 1)
            compute, memory = gflop / peak, megabytes / part.bandwidth
            lines.append(
                f"| {c.variant.name} | {part.name} | {c.registers} | {c.spills} | {c.shared} "
                f"| {occupancy(c, part.warps_per_sm, part.shared_per_sm):.0%} | {gflop:.2f} | {megabytes:.1f} "
                f"| {max(compute, memory):.3f} | {'arithmetic' if compute > memory else 'memory'} |"
            )
    return "\n".join(lines)


def occupancy(c: Compiled, warps_per_sm: int, shared_per_sm: int) -> float:
    """Share of a multiprocessor's warps that can be resident: registers and shared memory bound it."""
    warps = c.threads // 32
    registers = -(-c.registers // 8) * 8 * 32 * warps  # they are handed out eight a thread at a time
    blocks = min(warps_per_sm // warps, REGISTERS_PER_SM // registers)
    if c.shared:
        blocks = min(blocks, shared_per_sm // (c.shared + 1024))
    return blocks * warps / warps_per_sm


def work(c: Compiled) -> tuple[float, float]:
    """GFLOP that the kernel computes, padding included, and MB that must move, on the sizes of the benchmark.

    Attention: 100 queries on 16384 tokens. The others: the last stage of JBUOne, 112x112 to 224x224, 512 channels.
    """
    size, radius, depth = 2 if c.variant.half else 4, c.variant.radius, c.variant.depth
    features, kernel = (1, SIDE, SIDE, CHANNELS), (1, 2 * SIDE, 2 * SIDE, (2 * radius + 1) ** 2)
    found = (
        launches(
            "MaskedAttention",
            ((1, QUERIES, HEADS * depth), (1, LENGTH, HEADS * depth)),
            num_heads=HEADS,
            block=c.blocks.get("BLOCK_N", 1),
        ),
        launches("BilateralKernel", ((1, 2 * SIDE, 2 * SIDE, RANGE),), radius=radius),
        launches("AdaptiveUpsample", (features, kernel), radius=radius),
        launches("AdaptiveUpsampleClassify", (features, kernel, (CHANNELS,), (CLASSES, CHANNELS)), radius=radius),
    )
    work = next(kernels[c.variant.kernel] for kernels in found if c.variant.kernel in kernels)
    return work.flops / 1e9, work.elements * size / 1e6
