"""rsseg-edge: CLIP-based segmentation of aerial video and satellite scenes on edge devices.

>>> import rsseg_edge
>>> segmenter = rsseg_edge.load("segclip-tiny")
>>> result = segmenter(image)  # uint8 [H, W, 3] RGB
>>> result.class_map  # uint8 [H, W], indices into segmenter.classes
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsseg_edge.segmenter import Segmenter, load
    from rsseg_edge.types import ClassTable, Frame, Segmentation

__version__ = "0.1.0"
__all__ = ["ClassTable", "Frame", "Segmentation", "Segmenter", "__version__", "load"]

_HOME = {
    "load": "rsseg_edge.segmenter",
    "Segmenter": "rsseg_edge.segmenter",
    "ClassTable": "rsseg_edge.types",
    "Frame": "rsseg_edge.types",
    "Segmentation": "rsseg_edge.types",
}


def __getattr__(name: str) -> Any:
    # Importing the package must cost nothing: what it offers is fetched when it is first asked for.
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'rsseg_edge' has no attribute '{name}'")
