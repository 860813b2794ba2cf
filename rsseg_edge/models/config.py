"""Networks as data: TOML files that lie beside the code which builds them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from rsseg_edge.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Strict(BaseModel):
    """A table of a configuration: frozen, and a misspelt entry is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Config = TypeVar("Config", bound=Strict)


def config_names(folder: Path) -> list[str]:
    """Names of the configurations in a folder."""
    return sorted(p.stem for p in folder.glob("*.toml"))


def read_config(kind: type[Config], folder: Path, name: str, overrides: dict[str, Any]) -> Config:
    """Read ``name.toml``; ``overrides`` replace whole top-level entries.

    Raises:
        UsageError: no configuration of that name.
    """
    names = config_names(folder)
    if name not in names:
        raise UsageError(f"unknown model '{name}': there are {', '.join(names)}")
    text = (folder / f"{name}.toml").read_text(encoding="utf-8")
    return kind.model_validate(tomllib.loads(text) | {"name": name} | overrides)
