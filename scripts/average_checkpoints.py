"""Average two trained models of the same start: the first's accuracy where it was trained, the second's breadth."""

import argparse
from pathlib import Path

import torch

from rsseg_edge.datasets.reader import open_dataset
from rsseg_edge.training.adjust import label_adjustment
from rsseg_edge.training.checkpoint import TrainedModel, load_model, save_model


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path, help="model.safetensors")
    parser.add_argument("then", type=Path, help="model.safetensors that went on from the first")
    parser.add_argument("--weight", type=float, default=0.5, help="of the second, 0 to 1")
    parser.add_argument("-o", "--out", type=Path, required=True, help="file to write")
    parser.add_argument("--adjust", type=float, default=0.0, help="strength of the logit adjustment, with --data")
    parser.add_argument("--data", help="data set that both were trained on")
    parser.add_argument("--root", type=Path, help="its folder")
    options = parser.parse_args()
    if options.adjust and not options.data:
        parser.error("--adjust takes the classes' frequencies from --data")
    (first, one), (then, two) = load_model(options.first), load_model(options.then)
    mine, theirs = first.network.state_dict(), then.network.state_dict()
    first.network.load_state_dict(
        {n: torch.lerp(t, theirs[n], options.weight) if t.is_floating_point() else t for n, t in mine.items()}
    )
    if options.adjust:
        first.adjust(label_adjustment(open_dataset(options.data, options.root, "train"), options.adjust))
    record = one.record | {
        "data": two.record["data"],
        "steps": one.record["steps"] + two.record["steps"],
        "recipe": {
            "first": one.record["recipe"],
            "then": two.record["recipe"],
            "weight of the second": options.weight,
            "adjust": options.adjust,
        },
    }
    save_model(options.out, first, TrainedModel(one.model, one.classes, record))


if __name__ == "__main__":
    main()
