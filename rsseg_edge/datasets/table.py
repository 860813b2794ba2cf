"""The table of data sets: what ``table.toml``, or a user's own TOML file, says about folders, coding and splits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rsseg_edge.datasets.description import read_spec, read_toml
from rsseg_edge.datasets.pattern import PathPattern
from rsseg_edge.errors import UsageError
from rsseg_edge.types import ClassTable

TABLE = Path(__file__).with_name("table.toml")

Byte = Annotated[int, Field(ge=0, le=255)]
Color = tuple[Byte, Byte, Byte]
Value = Annotated[int, Field(ge=0, le=65535)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetClass(_Strict):
    """One class.

    Attributes:
        name: in tables and reports.
        mask: what it is in a mask: values or RGB colours.
        color: what it is drawn in.
        words: synonyms that a model of an open vocabulary is asked for; its name where there are none.
    """

    name: str = Field(min_length=1)
    mask: tuple[Color, ...] | tuple[Value, ...] = ()
    color: Color | None = None
    words: tuple[str, ...] = ()

    def draw_color(self) -> Color | None:
        """``color``, or else the first of the mask's colours; None where there is neither."""
        if self.color is None and self.mask and isinstance(self.mask[0], tuple):
            return self.mask[0]
        return self.color


class FilePair(_Strict):
    """Where the images and their masks lie below the root: two patterns with the same fields.

    ``labels`` says that these masks were converted: whatever the coding, a value is the class's place in the table,
    from 0, and 255 is none.
    """

    image: str = Field(min_length=1)
    mask: str = Field(min_length=1)
    labels: bool = False

    @model_validator(mode="after")
    def _mask_repeats_the_fields(self) -> FilePair:
        # Both are compiled here too, so that a bad pattern is found when the table is read.
        image, mask = PathPattern(self.image), PathPattern(self.mask)
        if unknown := mask.fields - image.fields:
            raise ValueError(f"the mask pattern '{self.mask}' has fields that the image's lacks: {sorted(unknown)}")
        return self


class Split(_Strict):
    """The part of a data set that a run uses: a choice of files by their fields, or the seeds of generated scenes.

    Attributes:
        files: where they lie; the data set's own where it is empty.
        only: patterns of which a field matches one.
        without: patterns of which a field matches none.
        listed: a text file below the root that lists the values of a field, one a line.
        first_seed: of generated scenes.
        count: of generated scenes.
    """

    files: tuple[FilePair, ...] = ()
    only: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    without: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    listed: Mapping[str, str] = Field(default_factory=dict)
    first_seed: int = Field(default=0, ge=0)
    count: int = Field(default=0, ge=0)


class Benchmark(_Strict):
    """How SegEarth-OV is measured on a data set (Li et al., CVPR 2025, and its published configurations).

    Attributes:
        split: what it is measured on.
        folder: of the set, as the published preparation calls it, below the folder of all sets.
        background: class of the pixels whose best class has a probability below ``threshold``.
        threshold: 0..1.
        iou_of: class whose IoU is the score; the mean over the classes where it is None.
        published: the score with ViT-B/16, in percent; None where METHODS does not give it.
        cls_token_lambda: weight of the class token. It is built into a network: a measurement with another is not
            the published one.
    """

    split: str = "val"
    folder: str = Field(min_length=1)
    background: str
    threshold: float = Field(ge=0, lt=1)
    iou_of: str | None = None
    published: float | None = Field(default=None, ge=0, le=100)
    cls_token_lambda: float = -0.3


class DatasetSpec(_Strict):
    """One row of the table.

    Attributes:
        name: what ``--data`` calls it.
        title: what it is.
        source: where users get it.
        licence: what it may be used for.
        coding: whether a mask holds index values or RGB colours.
        ignore: values or colours whose label is 255.
        crop: side of a training crop, in pixels.
        classes: in the order of the labels.
        files: where images and masks lie, for the splits that say nothing else.
        splits: by name.
        generator: what makes the samples, where no files hold them.
        benchmark: for the sets that open-vocabulary models are compared on.
    """

    name: str
    title: str = ""
    source: str = ""
    licence: str = ""
    coding: Literal["values", "colors"] = "values"
    ignore: tuple[Color, ...] | tuple[Value, ...] = ()
    crop: int = Field(default=512, ge=32)
    classes: tuple[DatasetClass, ...] = Field(min_length=1, max_length=254)
    files: tuple[FilePair, ...] = ()
    splits: Mapping[str, Split] = Field(min_length=1)
    generator: Literal["scenes"] | None = None
    benchmark: Benchmark | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> DatasetSpec:
        if uncolored := [c.name for c in self.classes if c.draw_color() is None]:
            raise ValueError(f"class '{uncolored[0]}' has no color")
        self.class_table()
        if self.generator is None:
            self._check_coding()
            self._check_splits()
        if self.benchmark is not None:
            self._check_benchmark(self.benchmark)
        return self

    def _check_benchmark(self, benchmark: Benchmark) -> None:
        names = self.class_table().names
        for name in (benchmark.background, benchmark.iou_of):
            if name is not None and name not in names:
                raise ValueError(f"benchmark: '{name}' is no class")
        if benchmark.split not in self.splits:
            raise ValueError(f"benchmark: there is no split '{benchmark.split}'")

    def _check_coding(self) -> None:
        seen: dict[object, str] = {}
        for name, codes in [("ignore", self.ignore), *((c.name, c.mask) for c in self.classes)]:
            if not codes and name != "ignore":
                raise ValueError(f"class '{name}' has no mask {self.coding}")
            for code in codes:
                if isinstance(code, tuple) != (self.coding == "colors"):
                    raise ValueError(f"'{name}': {code} does not fit the coding '{self.coding}'")
                if code in seen:
                    raise ValueError(f"{code} stands for both '{seen[code]}' and '{name}'")
                seen[code] = name

    def _check_splits(self) -> None:
        for name, split in self.splits.items():
            files = split.files or self.files
            if not files:
                raise ValueError(f"split '{name}' has no files")
            for pair in files:
                if unknown := ({*split.only, *split.without, *split.listed} - PathPattern(pair.image).fields):
                    raise ValueError(f"split '{name}': '{pair.image}' has no field {sorted(unknown)}")

    def class_table(self) -> ClassTable:
        """Names and colours in the order of the labels."""
        return ClassTable(tuple(c.name for c in self.classes), tuple(c.draw_color() or (0, 0, 0) for c in self.classes))

    def split(self, name: str) -> Split:
        """The split of that name.

        Raises:
            UsageError: there is none; the message lists those that there are.
        """
        try:
            return self.splits[name]
        except KeyError:
            raise UsageError(f"data {self.name} has no split '{name}': it has {', '.join(self.splits)}") from None


def dataset_names() -> list[str]:
    """Names of the data sets that the package describes."""
    return list(read_toml(TABLE))


def benchmark_sets() -> list[DatasetSpec]:
    """The data sets that open-vocabulary models are compared on, in the order of the paper's tables."""
    return [spec for spec in map(describe, dataset_names()) if spec.benchmark is not None]


def describe(name_or_toml: str | os.PathLike[str]) -> DatasetSpec:
    """What is known of a data set.

    Args:
        name_or_toml: a name of the table, or the path of a TOML file that describes one data set in the same terms.

    Raises:
        UsageError: there is no such data set, or the file is not a valid description; the message names the field.
    """
    return read_spec(DatasetSpec, os.fspath(name_or_toml), TABLE)
