"""Path patterns with fields: ``seq{sequence:d}/Images/{frame}.png``. They find images and name each one's mask."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

_FIELD = re.compile(r"\{([A-Za-z_]\w*)(:d)?\}")


class PathPattern:
    """A relative path in which ``{field}`` stands for a part of one name and ``{field:d}`` for digits.

    Example:
        >>> PathPattern("Tile {area:d}/{stem}.jpg").match("Tile 3/part_001.jpg")
        {'area': '3', 'stem': 'part_001'}

    Raises:
        ValueError: the pattern leaves the root or holds a stray brace.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        path = PurePosixPath(text)
        if path.is_absolute() or ".." in path.parts or "\\" in text:
            raise ValueError(f"the pattern '{text}' must be a path below the root, with /")
        if set(_FIELD.sub("", text)) & set("{}"):
            raise ValueError(f"the pattern '{text}': a field is {{name}} or {{name:d}}")
        self._parts = [re.compile(_to_regex(part)) if _FIELD.search(part) else part for part in path.parts]
        self.fields = frozenset(match[1] for match in _FIELD.finditer(text))

    def match(self, path: str) -> dict[str, str] | None:
        """The fields of a relative path with /, or None where it does not fit."""
        parts = PurePosixPath(path).parts
        if len(parts) != len(self._parts):
            return None
        fields: dict[str, str] = {}
        for part, pattern in zip(parts, self._parts, strict=True):
            found = _match_part(pattern, part, fields)
            if found is None:
                return None
            fields = found
        return fields

    def find(self, root: Path) -> Iterator[tuple[Path, dict[str, str]]]:
        """Files below the root that fit, in sorted order, each with its fields."""
        yield from self._find(root, 0, {})

    def _find(self, folder: Path, depth: int, fields: dict[str, str]) -> Iterator[tuple[Path, dict[str, str]]]:
        pattern, last = self._parts[depth], depth == len(self._parts) - 1
        # A part without a field is one name: no listing of what may be a folder of many thousand files.
        for name in [pattern] if isinstance(pattern, str) else sorted(_names(folder)):
            found = _match_part(pattern, name, fields)
            if found is None:
                continue
            path = folder / name
            if last:
                if path.is_file():
                    yield path, found
            elif path.is_dir():
                yield from self._find(path, depth + 1, found)

    def fill(self, fields: Mapping[str, str]) -> str:
        """The relative path with these fields."""
        return _FIELD.sub(lambda match: fields[match[1]], self.text)

    def sample_name(self, fields: Mapping[str, str]) -> str:
        """A name for one file: those parts of its path that hold a field, so ``Urban_1366`` and ``seq16_000100``."""
        parts = PurePosixPath(self.text).with_suffix("").parts
        return "_".join(PathPattern(part).fill(fields) for part in parts if _FIELD.search(part))


def matches_any(value: str, patterns: tuple[str, ...]) -> bool:
    """Whether a field is one of these, with ``?``, ``*`` and ``[]`` as in a shell and without leading zeros."""
    return any(fnmatchcase(_plain(value), _plain(pattern)) for pattern in patterns)


def _plain(value: str) -> str:
    return str(int(value)) if value.isascii() and value.isdigit() else value


def _to_regex(part: str) -> str:
    regex, end = "", 0
    for match in _FIELD.finditer(part):
        regex += re.escape(part[end : match.start()])
        known = f"(?P<{match[1]}>" in regex
        regex += f"(?P={match[1]})" if known else f"(?P<{match[1]}>{'[0-9]+' if match[2] else '.+'})"
        end = match.end()
    return regex + re.escape(part[end:])


def _match_part(pattern: str | re.Pattern[str], name: str, fields: dict[str, str]) -> dict[str, str] | None:
    if isinstance(pattern, str):
        return fields if pattern == name else None
    match = pattern.fullmatch(name)
    if match is None or any(fields.get(key, value) != value for key, value in match.groupdict().items()):
        return None
    return {**fields, **match.groupdict()}


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
