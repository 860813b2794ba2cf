"""Average two trained models of the same start: the first's accuracy where it was trained, the second's breadth."""

import argparse
from pathlib import Path

import torch

from rsseg_edge.training.checkpoint import TrainedModel, load_model, save_model


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path, help="model.safetensors")
    parser.add_argument("then", type=Path, help="model.safetensors that went on from the first")
    parser.add_argument("--weight", type=float, default=0.5, help="of the second, 0 to 1")
    parser.add_argument("-o", "--out", type=Path, required=True, help="file to write")
    options = parser.parse_args()
    (first, one), (then, two) = load_model(options.first), load_model(options.then)
    mine, theirs = first.network.state_dict(), then.network.state_dict()
    first.network.load_state_dict(
        {n: torch.lerp(t, theirs[n], options.weight) if t.is_floating_point() else t for n, t in mine.items()}
    )
    record = one.record | {
        "data": two.record["data"],
        "steps": one.record["steps"] + two.record["steps"],
        "recipe": {"first": one.record["recipe"], "then": two.record["recipe"], "weight of the second": options.weight},
    }
    save_model(options.out, first, TrainedModel(one.model, one.classes, record))


if __name__ == "__main__":
    main()
