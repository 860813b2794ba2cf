"""GPUs that the kernels are meant for: what the resource report needs to know of them, from NVIDIA's data sheets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One GPU.

    Attributes:
        arch: compute capability, times ten.
        fp16_tflops: dense, tensor cores, FP16 with FP32 accumulation; twice as many in INT8.
        fp32_tflops: of the other cores: two a clock and core.
        bandwidth: of its memory, GB/s.
        shared_per_block: the most shared memory that one block may use, bytes.
        shared_per_sm: shared memory of one multiprocessor, bytes.
        warps_per_sm: the most warps resident on one multiprocessor.
    """

    name: str
    arch: int
    fp16_tflops: float
    fp32_tflops: float
    bandwidth: float
    shared_per_block: int
    shared_per_sm: int
    warps_per_sm: int


# Jetson's TOPS are sparse INT8; a quarter of it is dense FP16.
PARTS = (
    Part("Orin Nano 8GB (15 W)", 87, 10.0, 1.28, 68.0, 163 * 1024, 164 * 1024, 48),
    Part("Orin NX 16GB (25 W)", 87, 15.0, 1.88, 102.0, 163 * 1024, 164 * 1024, 48),
    Part("AGX Orin 64GB (60 W)", 87, 42.5, 5.33, 204.8, 163 * 1024, 164 * 1024, 48),
    Part("Thor T5000", 110, 258.0, 8.06, 273.0, 227 * 1024, 228 * 1024, 48),
    Part("RTX 4090", 89, 165.0, 82.6, 1008.0, 99 * 1024, 100 * 1024, 48),
    Part("RTX 5090", 120, 209.0, 104.8, 1792.0, 99 * 1024, 100 * 1024, 48),
    Part("A100 40GB", 80, 312.0, 19.5, 1555.0, 163 * 1024, 164 * 1024, 64),
    Part("H100 SXM", 90, 989.0, 67.0, 3350.0, 227 * 1024, 228 * 1024, 64),
)
