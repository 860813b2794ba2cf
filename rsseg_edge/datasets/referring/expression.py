"""Sentences about an image, each with the pixels that it means."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rsseg_edge.datasets.referring.lexicon import Names, names_of
from rsseg_edge.datasets.referring.referents import Kind, Referent, find_referents
from rsseg_edge.datasets.referring.regions import BoolArray, Regions
from rsseg_edge.datasets.sample import IGNORE
from rsseg_edge.types import UInt8Array

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Phrasings = Literal["train", "held_out"]

MOST_UNLABELLED = 0.05
"""Share of unlabelled pixels from which on nothing is said of an image: they could hold what a sentence excludes."""


@dataclass(frozen=True, eq=False)
class Expression:
    """One sentence.

    Attributes:
        sentence: lower case, without a full stop.
        mask: bool [H, W], what it refers to.
        kind: category, size, position, relation or number; given, where the sentence came with the data.
    """

    sentence: str
    mask: BoolArray
    kind: Kind | Literal["given"]


def draw_expressions(
    labels: UInt8Array,
    classes: Sequence[str],
    count: int,
    rng: np.random.Generator,
    phrasings: Phrasings = "train",
) -> list[Expression]:
    """Up to ``count`` expressions about different pixels or in different forms, the kinds as even as the image allows.

    Each is true of its pixels alone, with a margin; see ``referents.py``. Crop and turn the labels first: positions and
    sizes are those of the image as it is.

    Args:
        labels: uint8 [H, W], 0..K-1, 255 = unlabelled.
        classes: names of the K classes.
        count: at most so many.
        rng: the same state gives the same expressions.
        phrasings: those to train with, or those that are held out.
    """
    if (labels == IGNORE).mean() > MOST_UNLABELLED:
        return []
    names = names_of(classes)
    regions = {label: Regions(labels, label) for label, own in enumerate(names) if own.regions}
    by_kind: dict[Kind, list[Referent]] = {}
    for referent in find_referents(regions, names):
        by_kind.setdefault(referent.kind, []).append(referent)
    queues = [[group[i] for i in rng.permutation(len(group))] for group in by_kind.values()]
    drawn: list[Expression] = []
    while len(drawn) < count and (queues := [queue for queue in queues if queue]):
        for i in rng.permutation(len(queues)):
            referent = queues[i].pop()
            sentences = list(phrase(referent, names, phrasings))
            mask = regions[referent.label].mask(referent.regions)
            drawn.append(Expression(sentences[rng.integers(len(sentences))], mask, referent.kind))
    return drawn[:count]


def phrase(referent: Referent, names: Sequence[Names], phrasings: Phrasings) -> Iterator[str]:
    """Every way to say a referent."""
    own, table = names[referent.label], _phrasings()
    words = table["words"][referent.word][phrasings] if referent.word else [""]
    landmarks = names[referent.landmark].whole if referent.landmark >= 0 else [""]
    for template, word, landmark in product(table["forms"][referent.form][phrasings], words, landmarks):
        for name in _fillings(own, template):
            yield template.format(**name, place=word, direction=word, landmark=landmark)


def spoken_words(classes: Sequence[str]) -> set[str]:
    """Every word of the expressions to train with, about any of these classes."""
    table = _phrasings()
    forms = [form["train"] for group in ("forms", "words") for form in table[group].values()]
    texts = [template for templates in forms for template in templates]
    # One by one: together, classes that share a name would lose it.
    texts += [name for label in classes for names in names_of([label]) for name in names.every()]
    return set(re.findall(r"[a-z]+", re.sub(r"{\w+}", "", " ".join(texts).casefold())))


def _fillings(names: Names, template: str) -> list[dict[str, str]]:
    """What a template's name of the class may be: a mass, or one and several of the same word."""
    if "{whole}" in template:
        return [{"whole": name} for name in names.whole]
    return [{"one": one, "many": many} for one, many in names.regions]


@lru_cache(maxsize=1)
def _phrasings() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads(Path(__file__).with_name("phrasings.toml").read_text(encoding="utf-8"))
