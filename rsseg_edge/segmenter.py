"""One image in, one :class:`~rsseg_edge.types.Segmentation` out: the Python API."""

from __future__ import annotations

import os

import numpy as np

from rsseg_edge.bundle import InputSpec, open_bundle
from rsseg_edge.engines.base import Engine
from rsseg_edge.errors import UsageError
from rsseg_edge.postprocess.enlarge import enlarge
from rsseg_edge.preprocess.fit import Fit, fit_size, to_canvas
from rsseg_edge.types import ClassTable, Segmentation, UInt8Array


class Segmenter:
    """An engine with what it needs to know of images and classes. Made by :func:`load`.

    ``prepare``, ``infer`` and ``finish`` may run on three threads at once, each of them on one.

    Example:
        >>> segmenter = rsseg_edge.load("segclip-tiny")
        >>> result = segmenter(image)  # uint8 [H, W, 3] RGB
        >>> segmenter.classes[result.class_map[0, 0]]
        'vegetation'
    """

    def __init__(self, engine: Engine, table: ClassTable, spec: InputSpec, *, long_side: int) -> None:
        self.table = table
        self.spec = spec
        self.long_side = long_side
        self._engine = engine

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the indices of a class map."""
        return self.table.names

    def prepare(self, image: UInt8Array) -> UInt8Array:
        """The graph's input for an image: uint8 [H, W, 3] to uint8 [1, h, w, 3].

        Raises:
            UsageError: the image is not uint8 RGB.
        """
        _check(image)
        return np.ascontiguousarray(to_canvas(image, self._fit(image))[None])

    def infer(self, prepared: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
        """Run the graph on what :meth:`prepare` gave: class map and confidence, uint8 [h, w] each."""
        result = self._engine.infer({"image": prepared}, ("class_map", "confidence"))
        return result["class_map"][0], result["confidence"][0]

    def finish(self, image: UInt8Array, class_map: UInt8Array, confidence: UInt8Array) -> Segmentation:
        """Bring what :meth:`infer` gave back to the size of the image."""
        import cv2

        height, width = self._fit(image).content
        class_map, confidence = class_map[:height, :width], confidence[:height, :width]
        if class_map.shape != image.shape[:2]:
            class_map = enlarge(np.ascontiguousarray(class_map), *image.shape[:2])
            confidence = cv2.resize(confidence, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
        return Segmentation(class_map, confidence, self.table)

    def __call__(self, image: UInt8Array) -> Segmentation:
        """Segment one image.

        Args:
            image: uint8 [H, W, 3] RGB, any size.

        Raises:
            UsageError: the image is of another type or shape.
            RssegError: the engine failed.
        """
        return self.finish(image, *self.infer(self.prepare(image)))

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()

    def _fit(self, image: UInt8Array) -> Fit:
        spec = self.spec
        canvas = (spec.height, spec.width) if spec.height and spec.width else None
        return fit_size(*image.shape[:2], long_side=self.long_side, multiple=spec.multiple_of, canvas=canvas)


def load(
    name_or_path: str | os.PathLike[str], *, long_side: int | None = None, threads: int | None = None
) -> Segmenter:
    """Open a shipped bundle by name, or any bundle by its folder.

    Args:
        name_or_path: for instance ``"segclip-tiny"``.
        long_side: images with a longer side are scaled down to it, in pixels; None takes the bundle's own value for
            still images.
        threads: cores that one inference may use; None takes all.

    Raises:
        UsageError: no such bundle, or a ``long_side`` below 32.
        RssegError: the bundle is damaged.
    """
    from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine

    if long_side is not None and long_side < 32:
        raise UsageError(f"long side {long_side}: an image must keep at least 32 pixels")
    bundle = open_bundle(name_or_path)
    engine = OnnxRuntimeEngine(bundle.read("model.onnx"), threads=threads, name=f"bundle {bundle.manifest.name}")
    spec = bundle.manifest.input
    return Segmenter(engine, bundle.manifest.class_table(), spec, long_side=long_side or spec.image_long_side)


def _check(image: UInt8Array) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        what = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UsageError(f"an image is a uint8 array [H, W, 3] in RGB, not {what}")
    if 0 in image.shape:
        raise UsageError(f"the image is empty: {list(image.shape)}")
