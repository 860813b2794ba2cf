"""Put the tensors of somebody else's state dict into a network, or say in one line why they do not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from rsseg_edge.errors import UsageError


def load_renamed(
    network: nn.Module,
    state: Mapping[str, Tensor],
    rename: Callable[[str], str | None],
    what: str,
    optional: tuple[str, ...] = (),
) -> None:
    """Load ``state`` in place.

    Args:
        network: takes the tensors.
        state: theirs.
        rename: their name to ours; None for a tensor that the network has no use for.
        what: names the state dict in errors.
        optional: names of ours with these beginnings may be missing.

    Raises:
        UsageError: a tensor is missing, unknown, or of another shape.
    """
    names = {ours: theirs for theirs in state if (ours := rename(theirs)) is not None}
    wanted = network.state_dict()
    for ours, tensor in wanted.items():
        if ours not in names:
            if ours.endswith("num_batches_tracked") or ours.startswith(optional):
                continue
            raise UsageError(f"{what} is of another network: nothing in it is {ours}")
        theirs = state[names[ours]]
        if theirs.shape != tensor.shape:
            raise UsageError(
                f"{what} is of another size: {names[ours]} is {list(theirs.shape)}, not {list(tensor.shape)}"
            )
    if unknown := sorted(set(names) - set(wanted)):
        raise UsageError(f"{what} is of another network: there is no place for {names[unknown[0]]}")
    network.load_state_dict({ours: state[theirs] for ours, theirs in names.items()}, strict=False)
