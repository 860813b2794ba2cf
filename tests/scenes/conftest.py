"""A bundle that gives logits and sees around itself, and small georeferenced rasters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from rsseg_edge.scenes.gdal import environment

from ..blobs import blobs

REACH = 7
"""Cells of 4 pixels that the network sees around each: 28 pixels, less than the halo of 32."""


def cells_graph() -> bytes:
    """``logits`` [1, 3, H / 4, W / 4]: minus the distance of the mean red of 15 x 15 cells to 40, 130 and 220, / 20.

    What lies outside of the image counts as 0, so that the border of a window is wrong, as any network's is.
    """
    from onnx import TensorProto, helper, numpy_helper

    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "height", "width", 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3, "rows", "columns"])
    side = 2 * REACH + 1
    nodes = [
        helper.make_node("Gather", ["image", "zero"], ["red8"], axis=3),
        helper.make_node("Cast", ["red8"], ["red"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["red", "one"], ["plane"]),
        helper.make_node("AveragePool", ["plane"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node(
            "AveragePool", ["cells"], ["mean"], kernel_shape=[side, side], pads=[REACH] * 4, count_include_pad=1
        ),
        helper.make_node("Sub", ["mean", "levels"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["distance"]),
        helper.make_node("Div", ["distance", "scale"], ["logits"]),
    ]
    initializers = [
        numpy_helper.from_array(np.array(0, np.int64), "zero"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.array([40, 130, 220], np.float32).reshape(1, 3, 1, 1), "levels"),
        numpy_helper.from_array(np.array(-20, np.float32), "scale"),
    ]
    graph = helper.make_graph(nodes, "cells", [image], [logits], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.fixture(scope="session")
def cells(write_bundle: Callable[..., Path]) -> Path:
    """The bundle of :func:`cells_graph`."""
    return write_bundle("cells", cells_graph(), {"multiple_of": 32})


@pytest.fixture(scope="session")
def write_scene() -> Callable[..., Path]:
    """Writes a raster; see :func:`_write_scene`."""
    return _write_scene


def _write_scene(
    path: Path,
    values: np.ndarray,
    *,
    crs: str | None = "EPSG:32633",
    transform: Affine | None = Affine(0.5, 0, 500000, 0, -0.5, 5400000),  # noqa: B008
    colors: tuple[str, ...] = (),
    **options: Any,
) -> Path:
    """``values`` is [bands, h, w]; ``options`` are GDAL's, such as nodata or tiled."""
    from rasterio.enums import ColorInterp

    profile = {"driver": "GTiff", "tiled": True, "blockxsize": 128, "blockysize": 128, **options}
    if profile["driver"] != "GTiff" or not profile["tiled"]:
        del profile["blockxsize"], profile["blockysize"], profile["tiled"]
    with rasterio.open(
        path, "w", width=values.shape[2], height=values.shape[1], count=len(values), dtype=values.dtype, crs=crs,
        transform=transform, **profile,
    ) as dataset:  # fmt: skip
        dataset.write(values)
        if colors:
            dataset.colorinterp = [ColorInterp[name] for name in colors]
    return path


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A scene of 700 x 530 pixels with a hole of no data and a ragged border."""
    values = blobs(530, 700)
    values = np.maximum(values, 1)
    values[:, 200:260, 300:330] = 0
    values[:, :, :9] = 0
    return _write_scene(tmp_path / "scene.tif", values, nodata=0)


@pytest.fixture(autouse=True)
def gdal() -> Any:
    """GDAL as the package uses it."""
    with environment():
        yield
