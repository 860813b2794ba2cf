"""Classes named by synonyms: "building,roof,house" is one class and three queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsseg_edge.errors import UsageError

MAX_QUERIES = 256


@dataclass(frozen=True)
class Vocabulary:
    """Queries of an open-vocabulary network.

    Attributes:
        words: one a query, the classes' synonyms one class after the other.
        class_index: class of each query.
    """

    words: tuple[str, ...]
    class_index: tuple[int, ...]


def split_classes(text: str) -> list[str]:
    """Classes as the command line has them, "building,roof; road", to a string of synonyms each.

    Example:
        >>> split_classes("building,roof; road;")
        ['building,roof', 'road']
    """
    return [name.strip() for name in text.split(";") if name.strip()]


def parse_classes(names: Sequence[str], most: int = MAX_QUERIES) -> Vocabulary:
    """Classes as strings of comma-separated synonyms to queries.

    Raises:
        UsageError: no class, an empty synonym, a word that stands twice, or more than ``most`` words.
    """
    if not names:
        raise UsageError("no classes: name at least one, for instance 'building,roof'")
    words: list[str] = []
    class_index: list[int] = []
    seen: set[str] = set()
    for index, name in enumerate(names):
        for synonym in name.split(","):
            word = " ".join(synonym.split())
            if not word:
                raise UsageError(f"class {index + 1}, '{name}', has an empty synonym")
            if word.lower() in seen:  # the tokenizers lower case, so that these would be the same query
                raise UsageError(f"'{word}' is named twice: every word belongs to one class")
            seen.add(word.lower())
            words.append(word)
            class_index.append(index)
    if len(words) > most:
        raise UsageError(f"{len(words)} words in {len(names)} classes: {most} is the maximum")
    return Vocabulary(tuple(words), tuple(class_index))
