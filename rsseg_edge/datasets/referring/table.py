"""The table of data sets that came with sentences: what ``table.toml``, or a user's own TOML file, says of them."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rsseg_edge.datasets.description import is_description, read_spec, read_toml
from rsseg_edge.errors import UsageError

TABLE = Path(__file__).with_name("table.toml")


class GivenSpec(BaseModel):
    """One row of the table; the entries are explained at its top."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str = ""
    source: str = ""
    licence: str = ""
    splits: tuple[str, ...] = Field(min_length=1)
    images: str = Field(min_length=1)
    instances: str = ""
    refs: str = ""
    phrases: str = ""
    masks: str = ""

    @model_validator(mode="after")
    def _is_one_layout(self) -> GivenSpec:
        of_objects, of_images = (self.instances, self.refs), (self.phrases, self.masks)
        if (all(of_objects), any(of_objects), all(of_images), any(of_images)) not in {
            (True, True, False, False),
            (False, False, True, True),
        }:
            raise ValueError("either instances and refs are given, or phrases and masks")
        field = "{file}" if self.refs else "{image}"
        if field not in self.images or (self.masks and "{image}" not in self.masks):
            raise ValueError(f"images (and masks) need {field}, the name of an image")
        return self

    def check_split(self, split: str) -> None:
        """Refuse a split that there is not.

        Raises:
            UsageError: the message lists those that there are.
        """
        if split not in self.splits:
            raise UsageError(f"data {self.name} has no split '{split}': it has {', '.join(self.splits)}")


def given_names() -> list[str]:
    """Names of the data sets with sentences that the package describes."""
    return list(read_toml(TABLE))


def is_given(name_or_toml: str | os.PathLike[str]) -> bool:
    """Whether a data set has sentences of its own, and is not one of masks alone."""
    text = os.fspath(name_or_toml)
    if is_description(text):
        return bool({"refs", "phrases"} & set(read_toml(Path(text))))
    return text in read_toml(TABLE)


def describe_given(name_or_toml: str | os.PathLike[str]) -> GivenSpec:
    """What is known of a data set for which :func:`is_given` is true.

    Raises:
        UsageError: the file is not a valid description; the message names the field.
    """
    return read_spec(GivenSpec, os.fspath(name_or_toml), TABLE)
