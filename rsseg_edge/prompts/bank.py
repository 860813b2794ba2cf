"""The word bank: phrases whose text features an open-vocabulary bundle carries (``bank.toml`` beside this file)."""

from __future__ import annotations

import itertools
import sys
from functools import lru_cache
from pathlib import Path

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
