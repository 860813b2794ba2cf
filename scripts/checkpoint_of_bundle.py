"""A segearth-ov-tiny bundle's weights as a checkpoint again, for training and export that go on from what was deployed.

The exporter folds BatchNorm into the convolution before it, and transposes linear layers. Here the former come back as
BatchNorms that only add, so that the network computes what the graph computes, in the precision of the bundle.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from rsseg_edge.bundle import open_bundle
from rsseg_edge.models.folded import convolutions, unfold
from rsseg_edge.models.segearth_ov.tiny.config import load_config
from rsseg_edge.models.segearth_ov.tiny.network import SegEarthOVTiny
from rsseg_edge.training.checkpoint import TrainedModel, save_model
from rsseg_edge.training.task import Task


def restored(model: onnx.ModelProto) -> SegEarthOVTiny:
    """The network with bilinear enlargement, from its graph.

    Raises:
        ValueError: a tensor of the network is not in the graph.
    """
    network = SegEarthOVTiny(load_config("segearth-ov-tiny"))
    found = {t.name: torch.from_numpy(numpy_helper.to_array(t).astype(np.float32)) for t in model.graph.initializer}
    root = "vit.visual.conv1.backbone.net."
    unfit = unfold(network.get_submodule(root[:-1]), convolutions(model), lambda name: f"network.{root}{name}")
    state = network.state_dict()
    missing = {name for name in state if not name.startswith(root)}
    for name in sorted(missing):
        if (given := found.get(f"network.{name}")) is not None and given.shape == state[name].shape:
            state[name] = given
            missing.discard(name)
    missing |= set(unfit)
    # What is left are the linear layers of the blocks, which stand in the graph in the order of the network; the
    # matrices of an upsampler between them have other shapes.
    factors = [found[n.input[1]].T for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in found]
    linear = iter(factors)
    for name in [n for n in state if n in missing and state[n].ndim == 2]:
        if (given := next((factor for factor in linear if factor.shape == state[name].shape), None)) is not None:
            state[name] = given.contiguous()
            missing.discard(name)
    if missing:
        raise ValueError(f"the graph lacks {sorted(missing)}")
    network.load_state_dict(state)
    return network


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="name of a shipped bundle, or a folder")
    parser.add_argument("-o", "--out", type=Path, required=True, help="model.safetensors to write")
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    network = restored(onnx.load_model_from_string(bundle.read("model.onnx")))
    manifest = bundle.manifest
    record = manifest.training.model_dump(mode="json") if manifest.training else {}
    task = Task()
    task.network = network
    save_model(options.out, task, TrainedModel(manifest.model, manifest.class_table(), record))


if __name__ == "__main__":
    main()
