"""The words that regions and crops are compared with in training: ``words.toml`` beside this file."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsseg_edge.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HELD_OUT = ("hous", "desert", "street", "tree", "lake")
"""Stems of the words that the evaluation asks with: house, desert, street, trees, lake. Never trained with."""


@dataclass(frozen=True)
class Words:
    """Words of every class, and words for what is nowhere in the pictures.

    Attributes:
        classes: of each class, in the data's order.
        absent: of none.
        phrases: captions with ``{}`` for a list of words.
    """

    classes: tuple[tuple[str, ...], ...]
    absent: tuple[str, ...]
    phrases: tuple[str, ...]

    def captions(self, seed: int, each: int) -> list[tuple[tuple[int, ...], list[str]]]:
        """Captions of every set of classes: (classes, ``each`` captions of it), drawn from the seed."""
        rng = np.random.default_rng(seed)
        sets: list[tuple[tuple[int, ...], list[str]]] = []
        for size in range(1, len(self.classes) + 1):
            for chosen in itertools.combinations(range(len(self.classes)), size):
                sets.append((chosen, [self._caption(chosen, rng) for _ in range(each)]))
        return sets

    def _caption(self, chosen: tuple[int, ...], rng: np.random.Generator) -> str:
        words = [str(rng.choice(self.classes[k])) for k in rng.permutation(chosen)]
        listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
        return str(rng.choice(self.phrases)).format(listed)


def training_words(classes: Sequence[str]) -> Words:
    """Words for a data set's classes.

    Raises:
        UsageError: a class that no words are known for.
    """
    table = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
    known = table["classes"]
    if unknown := [name for name in classes if name not in known]:
        raise UsageError(f"no training words for the class '{unknown[0]}': there are {', '.join(known)}")
    return Words(
        tuple(tuple(known[name]) for name in classes),
        tuple(table["absent"]["words"]),
        tuple(table["captions"]["phrases"]),
    )
