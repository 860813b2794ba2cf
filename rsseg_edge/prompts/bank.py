"""The word bank: phrases whose text features an open-vocabulary bundle carries (``bank.toml`` beside this file)."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@lru_cache(maxsize=1)
def bank_phrases() -> tuple[str, ...]:
    """Every phrase once, in the order of the file."""
    table = tomllib.loads(Path(__file__).with_name("bank.toml").read_text(encoding="utf-8"))
    phrases = list(itertools.chain.from_iterable(table["words"].values()))
    for group in table["composed"]:
        phrases += [f"{first} {second}" for first, second in itertools.product(group["first"], group["second"])]
    return tuple(dict.fromkeys(phrases))


def build_bank(
    encode: Callable[[Sequence[str]], npt.NDArray[np.floating]],
) -> tuple[tuple[str, ...], npt.NDArray[np.float16]]:
    """The phrases and their text features.

    Args:
        encode: n phrases to [n, D], rows of length 1, as the bundle's own text graph and templates give them.

    Returns:
        N phrases and float16 [N, D].
    """
    phrases = bank_phrases()
    return phrases, np.asarray(encode(phrases), np.float16)
