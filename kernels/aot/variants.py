"""What is compiled: the kernels, their arguments, and the variants that the models need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rsseg_edge.kernels.plan import TILES, constants

# Arguments in order, without the compile-time ones. "T" is a pointer to the model's precision, "i" an int32, "f" a
# float32, "n" an int32 that is a multiple of 16 (channels: rows of them are then loaded 16 bytes at a time).
ARGUMENTS: dict[str, tuple[str, str]] = {
    "masked_attention_kernel": ("masked_attention", "TTTTTiiif"),
    "bilateral_kernel_kernel": ("bilateral_kernel", "TTTTiin"),
    "fold_kernel": ("adaptive_upsample", "TTii"),
    "adaptive_upsample_kernel": ("adaptive_upsample", "TTTiin"),
    "project_kernel": ("adaptive_upsample_classify", "TTTTini"),
    "adaptive_upsample_classify_kernel": ("adaptive_upsample_classify", "TTTTTiiini"),
}
RADII = (3, 5)  # JBUStack, JBUOne
DEPTHS = (16, 32, 64)  # channels of a head
# The newest PTX that the oldest supported driver of a board takes: JetPack 6 (CUDA 12.6) on Orin. PTX of sm_80 is what
# any later GPU without PTX of its own compiles, so it is held as low.
PTX_CEILING = {80: 80, 87: 85}


@dataclass(frozen=True)
class Variant:
    """One kernel with its compile-time arguments."""

    kernel: str
    half: bool
    radius: int = 0
    depth: int = 0

    @property
    def name(self) -> str:
        """The file's name: a plugin builds it from the operator's attributes and shapes."""
        size = f"_r{self.radius}" if self.radius else f"_d{self.depth}" if self.depth else ""
        return f"{self.kernel}{size}_{'fp16' if self.half else 'fp32'}"

    def constants(self, arch: int) -> dict[str, int | str]:
        """Compile-time arguments."""
        return constants(self.kernel, arch, half=self.half, radius=self.radius, depth=self.depth)

    def signature(self, arch: int) -> dict[str, str]:
        """Argument names to Triton's types."""
        pointer = "*fp16" if self.half else "*fp32"
        types = {"T": pointer, "i": "i32", "n": "i32", "f": "fp32"}
        runtime = iter(types[letter] for letter in ARGUMENTS[self.kernel][1])
        fixed = self.constants(arch)
        return {name: "constexpr" if name in fixed else next(runtime) for name in self.function().arg_names}

    def aligned(self, arch: int) -> list[int]:
        """Places of arguments that are multiples of 16. TensorRT and PyTorch align memory to 256 bytes."""
        fixed = self.constants(arch)
        letters = iter(ARGUMENTS[self.kernel][1])
        return [i for i, name in enumerate(self.function().arg_names) if name not in fixed and next(letters) in "Tn"]

    def function(self) -> Any:
        """The Triton function."""
        module = import_module(f"rsseg_edge.kernels.{ARGUMENTS[self.kernel][0]}.triton_kernel")
        return getattr(module, self.kernel)


def variants() -> Iterator[Variant]:
    """All that ship."""
    for half in (True, False):
        for depth in DEPTHS:
            yield Variant("masked_attention_kernel", half, depth=depth)
        for radius in RADII:
            for kernel in ARGUMENTS:
                if kernel not in ("masked_attention_kernel", "project_kernel"):
                    yield Variant(kernel, half, radius=radius)
        yield Variant("project_kernel", half)


def launch_options(variant: Variant, arch: int) -> dict[str, int]:
    """Options for ``triton.compile``."""
    tile = TILES[arch][variant.kernel]
    options = {"num_warps": tile.warps, "num_stages": tile.stages}
    if arch in PTX_CEILING:
        options["ptx_version"] = PTX_CEILING[arch]
    return options
