"""Match the classes of a model with those of a data set, whose names and order may differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsseg_edge.errors import UsageError
from rsseg_edge.evaluation.confusion import IGNORE
from rsseg_edge.types import ClassTable, UInt8Array


@dataclass(frozen=True, eq=False)
class ClassMatch:
    """How labels and predictions become indices into one table.

    Attributes:
        table: the classes that are evaluated.
        labels: uint8 [256], from a label of the data set; 255 is left out.
        predictions: uint8 [256], from a class of the model; 255 is none of the table's.
    """

    table: ClassTable
    labels: UInt8Array
    predictions: UInt8Array


def match_classes(data: ClassTable, model: Sequence[str], pairs: Sequence[str] = ()) -> ClassMatch:
    """Match by name, without regard to case, and by what ``pairs`` says of the rest.

    Args:
        data: classes of the data set.
        model: class names of the model, in its order.
        pairs: ``"DATA=MODEL"`` each. A data class may be given several model classes (``background=land`` and
            ``background=road``), several data classes may share one (``forest=vegetation`` and ``crops=vegetation``,
            which are then one class), and ``"DATA="`` leaves the pixels of a data class out.

    Raises:
        UsageError: a pair names a class that does not exist; a data class has no counterpart.
    """
    partners = _explicit(data, model, pairs)
    known = {name.casefold(): i for i, name in enumerate(model)}
    for index, name in enumerate(data.names):
        if index not in partners:
            if name.casefold() not in known:
                raise UsageError(
                    f"the model has no class '{name}' of the data; say which it is with --map \"{name}=CLASS\" "
                    f'({", ".join(model)}), or leave it out with --map "{name}="'
                )
            partners[index] = {known[name.casefold()]}
    groups = _groups(partners)
    if not groups:
        raise UsageError("every class of the data is left out: nothing to evaluate")
    labels, predictions = np.full(256, IGNORE, np.uint8), np.full(256, IGNORE, np.uint8)
    for group, (of_data, of_model) in enumerate(groups):
        labels[of_data] = group
        predictions[of_model] = group
    names = tuple(" + ".join(data.names[i] for i in of_data) for of_data, _ in groups)
    return ClassMatch(ClassTable(names, tuple(data.colors[of_data[0]] for of_data, _ in groups)), labels, predictions)


def _explicit(data: ClassTable, model: Sequence[str], pairs: Sequence[str]) -> dict[int, set[int]]:
    partners: dict[int, set[int]] = {}
    for pair in pairs:
        name, equals, counterpart = (part.strip() for part in pair.partition("="))
        if not equals:
            raise UsageError(f"--map {pair}: it takes DATA=MODEL, for instance --map forest=vegetation")
        if name not in data.names:
            raise UsageError(f"--map {pair}: the data has no class '{name}': it has {', '.join(data.names)}")
        if counterpart and counterpart not in model:
            raise UsageError(f"--map {pair}: the model has no class '{counterpart}': it has {', '.join(model)}")
        chosen = partners.setdefault(data.names.index(name), set())
        if counterpart:
            chosen.add(list(model).index(counterpart))
    return partners


def _groups(partners: dict[int, set[int]]) -> list[tuple[list[int], list[int]]]:
    """Data classes that share a model class belong together: lists of data and model indices, in the data's order."""
    groups: list[tuple[list[int], list[int]]] = []
    for index, chosen in sorted(partners.items()):
        if not chosen:
            continue
        touched = [group for group in groups if chosen & set(group[1])]
        rest = [group for group in groups if group not in touched]
        merged = sorted([index, *(i for group in touched for i in group[0])])
        groups = [*rest, (merged, sorted(chosen.union(*(group[1] for group in touched))))]
    return sorted(groups)
