"""A trained network as an ONNX graph: uint8 image in, class map, confidence and logits out.

Attention that is masked or deformable is one node of the domain ``rsseg`` each, with a body in standard operators: a
runtime that has our kernels runs those, any other the body.
"""

from __future__ import annotations

import copy
import logging
import warnings

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.kernels.functions import OPSET, attach
from rsseg_edge.kernels.registry import DOMAIN
from rsseg_edge.models.decide import decide
from rsseg_edge.models.segclip.network import SegCLIP, upsample

MULTIPLE = 32


class DeployedSegCLIP(nn.Module):
    """What the graph computes. Normalisation is inside, text features are constants.

    ``forward(image)`` takes uint8 RGB [1, H, W, 3], H and W multiples of 32, and gives ``class_map`` and
    ``confidence``, uint8 [1, H, W], and ``logits``, float [1, K, H / 4, W / 4]: the logarithms of the class shares,
    so that their softmax is the shares. A runtime is asked for the logits by name, and they cost next to nothing.
    """

    def __init__(self, network: SegCLIP) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        _fix_same_padding(self.network.backbone)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shares = self.network.shares(image.permute(0, 3, 1, 2).float())
        classes, confidence = decide(upsample(shares, (image.shape[1], image.shape[2])))
        return classes, confidence, shares.clamp(min=1e-6).log()


def to_onnx(network: SegCLIP, size: tuple[int, int] | None) -> onnx.ModelProto:
    """Export in float32, in the opset of the bodies.

    Args:
        network: in evaluation mode.
        size: height and width of the only input that the graph takes; None leaves both free.
    """
    height, width = size or (4 * MULTIPLE, 6 * MULTIPLE)
    dynamic = None
    if size is None:
        # Sides are stated as multiples: that the pyramid's levels fit together is then known, not guessed.
        rows, columns = torch.export.Dim("rows", min=1, max=256), torch.export.Dim("columns", min=1, max=256)
        dynamic = {"image": {1: MULTIPLE * rows, 2: MULTIPLE * columns}}
    image = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        program = torch.onnx.export(
            DeployedSegCLIP(network),
            (image,),
            input_names=["image"],
            output_names=["class_map", "confidence", "logits"],
            dynamic_shapes=dynamic,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = tidy(program.model_proto)
    attach(model)
    return model


class _PaddedConv(nn.Module):
    """A stride-2 convolution with TensorFlow's "same" padding, for inputs of even size: constant, the end gets more."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        before, after = (conv.kernel_size[0] - 2) // 2, (conv.kernel_size[0] - 1) // 2
        self.pad = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        c = self.conv
        return F.conv2d(F.pad(x, self.pad), c.weight, c.bias, c.stride, 0, c.dilation, c.groups)


def _fix_same_padding(module: nn.Module) -> None:
    # timm computes the padding from the size in the graph. Sides are multiples of 32, so that every strided layer
    # sees an even size and the padding is a constant.
    for name, child in module.named_children():
        if type(child).__name__ == "Conv2dSame" and isinstance(child, nn.Conv2d):
            setattr(module, name, _PaddedConv(child))
        else:
            _fix_same_padding(child)


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what the exporter leaves for its own debugging: it doubles the file and names paths of this machine."""
    del model.metadata_props[:]
    for i, node in enumerate(model.graph.node):
        del node.metadata_props[:]
        node.doc_string = ""
        if node.domain == DOMAIN:  # all of them are "symbolic" to the exporter
            node.name = f"{node.op_type}_{i}"
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]  # folding leaves what it folded
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model
