"""What the custom operators are called, what they take, and where their compiled faces lie."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path

DOMAIN = "rsseg"
VERSION = 1

ROOT = Path(__file__).parent


@dataclass(frozen=True)
class Op:
    """One operator of the domain.

    Attributes:
        name: the ONNX op type.
        room: the folder below ``kernels`` that holds its faces.
        inputs: names in order, with their shapes.
        attributes: names of its integer attributes.
        outputs: names and shapes.
        triton: whether it has a Triton kernel and a TensorRT plugin of ours.
        codes: whether it works on 8-bit codes: calibration puts such an operator into a graph.
        bytes: whether its outputs are uint8, in place of its inputs' precision. Of these and of codes a value near the
            middle of two may become either, so that faces agree to a step alone.
        rewritten: whether an exporter's rewrite puts it into a graph. No network calls those, nor those on codes.
    """

    name: str
    room: str
    inputs: tuple[str, ...]
    attributes: tuple[str, ...]
    outputs: tuple[str, ...]
    triton: bool = True
    codes: bool = False
    bytes: bool = False
    rewritten: bool = False

    @property
    def input_names(self) -> tuple[str, ...]:
        """Input names without their shapes."""
        return tuple(text.partition(" ")[0] for text in self.inputs)


_BLOCK = (
    "depth_weight [E,k,k]",
    "depth_bias [E]",
    "hidden_step [2]",
    "project_weight [D,E]",
    "project_step [D]",
    "project_bias [D]",
    "addend [B,h,w,D]|[1,1,1,1]",
    "limits [4]",
)

# h, w: the feature grid; H = 2h, W = 2w; K = 2 * radius + 1.
OPS: dict[str, Op] = {
    op.name: op
    for op in (
        Op(
            "MaskedAttention",
            "masked_attention",
            ("query [B,N,C]", "key [B,L,C]", "value [B,L,C]", "mask_logits [B,N,L]"),
            ("num_heads",),
            ("output [B,N,C]",),
        ),
        Op(
            "BilateralKernel",
            "bilateral_kernel",
            ("range [B,H,W,R]", "spatial [K*K]", "temperature [1]"),
            ("radius",),
            ("kernel [B,H,W,K*K]",),
        ),
        Op(
            "AdaptiveUpsample",
            "adaptive_upsample",
            ("features [B,h,w,C]", "kernel [B,H,W,K*K]"),
            ("radius",),
            ("output [B,H,W,C]",),
        ),
        Op(
            "AdaptiveUpsampleClassify",
            "adaptive_upsample_classify",
            ("features [B,h,w,C]", "kernel [B,H,W,K*K]", "bias [C]", "text [Q,C]"),
            ("radius",),
            ("logits [B,H,W,Q]",),
        ),
        Op(
            "MSDeformAttn",
            "ms_deform_attn",
            (
                "value [B,S,M,D]",
                "spatial_shapes [L,2]",
                "level_start_index [L]",
                "sampling_locations [B,N,M,L,P,2]",
                "attention_weights [B,N,M,L,P]",
            ),
            (),
            ("output [B,N,M*D]",),
            triton=False,
        ),
        Op(
            "Conv3x3Relu",
            "conv3x3_relu",
            ("x [B,C,h,w]", "weight [D,C,3,3]", "addend [1|B,D,1|h,1|w]"),
            (),
            ("output [B,D,h,w]",),
            triton=False,
        ),
        Op(
            "UpsampleConv3x3Relu",
            "upsample_conv3x3_relu",
            ("x [B,C,h,w]", "weight [D,C,3,3]", "addend [1|B,D,1|H,1|W]"),
            (),
            ("output [B,D,H,W]",),
            triton=False,
        ),
        Op(
            "PixelMLP",
            "pixel_mlp",
            ("x [B,H,W,C]", "weight1 [D,C]", "bias1 [D]", "weight2 [E,D]", "bias2 [E]"),
            (),
            ("output [B,H,W,E]",),
            triton=False,
        ),
        Op(
            "FixupKernel",
            "fixup_kernel",
            (
                "kernel [B,H,W,T]",
                "guidance [B,H,W,G]",
                "weight1 [D,T+G]",
                "bias1 [D]",
                "weight2 [T,D]",
                "bias2 [T]",
            ),
            (),
            ("output [B,H,W,T]",),
            triton=False,
        ),
        Op(
            "SelfAttention",
            "self_attention",
            (
                "x [B,N,C]",
                "norm_weight [C]",
                "norm_bias [C]",
                "weight [C,3C]",
                "addend [1|N,3C]",
                "out_weight [C,C]",
                "out_bias [C]",
                "out_norm_weight [C]",
                "out_norm_bias [C]",
            ),
            ("num_heads",),
            ("output [B,N,C]",),
            triton=False,
        ),
        Op(
            "CrossAttention",
            "cross_attention",
            (
                "x [B,N,C]",
                "norm_weight [C]",
                "norm_bias [C]",
                "position [N,C]",
                "keys [B,M,C]",
                "values [B,M,C]",
                "scores [B,M]",
                "out_bias [C]",
                "out_norm_weight [C]",
                "out_norm_bias [C]",
            ),
            ("num_heads",),
            ("output [B,N,C]",),
            triton=False,
        ),
        Op(
            "FeedForward",
            "feed_forward",
            (
                "x [B,N,C]",
                "norm_weight [C]",
                "norm_bias [C]",
                "weight1 [C,H]",
                "bias1 [H]",
                "inner_weight [H]",
                "inner_bias [H]",
                "weight2 [H,C]",
                "bias2 [C]",
            ),
            (),
            ("output [B,N,C]",),
            triton=False,
        ),
        # Here h, w: H, W less the offset, over the stride, rounded up.
        Op(
            "QInvertedResidual",
            "q_inverted_residual",
            ("x [B,H,W,C]", "x_step [2]", "expand_weight [E,C]", "expand_step [E]", "expand_bias [E]", *_BLOCK),
            ("channels", "stride", "offset"),
            ("output [B,h,w,D]",),
            triton=False,
            codes=True,
        ),
        Op(
            "QSeparableConv",
            "q_separable_conv",
            ("x [B,H,W,E]", *_BLOCK),
            ("channels", "stride", "offset"),
            ("output [B,h,w,D]",),
            triton=False,
            codes=True,
        ),
        Op(
            "UpsampleDecide",
            "upsample_decide",
            ("shares [B,K,h,w]",),
            ("classes",),
            ("class_map [B,4h,4w]", "confidence [B,4h,4w]"),
            triton=False,
            bytes=True,
            rewritten=True,
        ),
        # H, W: multiples of the factor f.
        Op(
            "MiddleMean",
            "middle_mean",
            ("x [B,C,H,W]",),
            ("factor",),
            ("output [B,C,H/f,W/f]",),
            triton=False,
            rewritten=True,
        ),
    )
}


def calls_operators(model: bytes) -> bool:
    """Whether a serialised ONNX model imports our domain. The edge install has no ``onnx`` to parse it with."""
    name = DOMAIN.encode()
    # OperatorSetIdProto: field 1 the domain, field 2 the version, which every writer puts in this order.
    return b"\x0a" + bytes([len(name)]) + name + b"\x10" in model


def ort_library() -> Path | None:
    """The ONNX Runtime custom-op library, for ``SessionOptions.register_custom_ops_library``.

    None where the package was installed without a C++ compiler: graphs then run through their function bodies.
    """
    return compiled_library("rsseg_ort_ops")


def trt_library() -> Path | None:
    """The TensorRT plugin library, for ``IPluginRegistry.load_library``; None where no TensorRT headers were found."""
    return compiled_library("rsseg_trt_plugins")


def compiled_library(name: str) -> Path | None:
    """A library that came with the package; None where it was installed without what it takes to compile it."""
    # An editable install keeps Python sources in the checkout and compiled files in site-packages.
    installed = Path(sysconfig.get_path("platlib"), "rsseg_edge", "kernels")
    for folder in (ROOT, installed):
        for file in (f"lib{name}.so", f"lib{name}.dylib", f"{name}.dll"):
            if (folder / "lib" / file).is_file():
                return folder / "lib" / file
    return None
