"""Rows of the tables of data sets, and a user's own TOML file of the same form: read and checked."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rsseg_edge.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Spec = TypeVar("Spec", bound=BaseModel)


def is_description(text: str) -> bool:
    """Whether ``--data`` means a file with a description rather than a name of the table."""
    return text.endswith(".toml") or os.sep in text


@lru_cache(maxsize=8)
def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        UsageError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None


def read_spec(kind: type[Spec], name_or_toml: str, table: Path) -> Spec:
    """The row of that name in ``table``, or the description in a file.

    Args:
        kind: what a row must be; its field ``name`` is the row's, or the file's without its suffix.
        name_or_toml: see :func:`is_description`.
        table: a TOML file with a table a data set.

    Raises:
        UsageError: there is no such data set, or it is not described as it must be; the message names the field.
    """
    if is_description(name_or_toml):
        path = Path(name_or_toml)
        row, name = read_toml(path), path.stem
    else:
        rows = read_toml(table)
        if name_or_toml not in rows:
            raise UsageError(
                f"unknown data '{name_or_toml}': it is one of {', '.join(rows)}, or the path of a TOML file on a folder"
            )
        row, name = rows[name_or_toml], name_or_toml
    try:
        return kind.model_validate({"name": name, **row})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"data {name_or_toml}: {where + ': ' if where else ''}{message}") from None
