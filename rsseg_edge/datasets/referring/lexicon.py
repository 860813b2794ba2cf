"""Names of classes in sentences."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Names:
    """What a class is called; nothing at all for a background.

    Attributes:
        regions: pairs of one and several: building, buildings.
        whole: all of it as a mass: water. Empty for things, which are counted.
    """

    regions: tuple[tuple[str, str], ...] = ()
    whole: tuple[str, ...] = ()

    def every(self) -> set[str]:
        """All of the names."""
        return {*self.whole, *(name for pair in self.regions for name in pair)}


def names_of(classes: Sequence[str]) -> list[Names]:
    """Names of each class, without those that another one of them has too.

    Example:
        >>> names_of(["kiosk", "background"])
        [Names(regions=(('kiosk', 'kiosks'),), whole=()), Names(regions=(), whole=())]
    """
    found = [_lexicon().get(name.casefold(), Names(((name, f"{name}s"),))) for name in classes]
    uses = Counter(name for names in found for name in names.every())
    return [
        Names(
            tuple((one, many) for one, many in names.regions if uses[one] == uses[many] == 1),
            tuple(name for name in names.whole if uses[name] == 1),
        )
        for names in found
    ]


@lru_cache(maxsize=1)
def _lexicon() -> Mapping[str, Names]:
    table = tomllib.loads(Path(__file__).with_name("lexicon.toml").read_text(encoding="utf-8"))
    return {
        name: Names(tuple((one, many) for one, many in row.get("regions", ())), tuple(row.get("whole", ())))
        for name, row in table.items()
    }
