"""A graph of a bundle with what an engine has to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from rsseg_edge.bundle import Bundle


@dataclass(frozen=True)
class PrebuiltEngine:
    """An engine that came with the bundle.

    Attributes:
        runtime: name and version of what it was built by.
        capabilities: compute capabilities of the GPUs that it is for.
        shapes: of the graph's inputs.
        read: gives its bytes, checksum verified.
    """

    runtime: str
    capabilities: tuple[tuple[int, int], ...]
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[], bytes] = field(compare=False)


@dataclass(frozen=True)
class GraphFile:
    """One ONNX file of a bundle.

    Attributes:
        model: its bytes, checksum verified.
        bundle: the bundle's name.
        file: the file's name in it.
        precision: arithmetic of the graph.
        engines: built from it ahead of time.
    """

    model: bytes
    bundle: str
    file: str = "model.onnx"
    precision: str = "fp32"
    engines: tuple[PrebuiltEngine, ...] = ()

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"bundle {self.bundle}" + ("" if self.file == "model.onnx" else f", {self.file}")


def read_graph(bundle: Bundle, file: str = "model.onnx") -> GraphFile:
    """Read a graph.

    Raises:
        RssegError: the file is missing or damaged.
    """
    manifest = bundle.manifest
    engines = tuple(
        PrebuiltEngine(e.runtime, e.capabilities, e.shapes, partial(bundle.read, e.file))
        for e in manifest.engines
        if e.graph == file
    )
    return GraphFile(bundle.read(file), manifest.name, file, manifest.precision.name, engines)
