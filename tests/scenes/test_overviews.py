from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS

from rsseg_edge.scenes.georeference import GeoReference
from rsseg_edge.scenes.layers import Layers
from rsseg_edge.scenes.overviews import Overviews, halved
from rsseg_edge.scenes.raster import write_class_cog
from rsseg_edge.types import ClassTable


def slowly(class_map: np.ndarray) -> np.ndarray:
    height, width = class_map.shape
    result = np.full((-(-height // 2), -(-width // 2)), 255, np.uint8)
    for y, x in np.ndindex(*result.shape):
        four = [v for v in class_map[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist() if v != 255]
        if four:
            result[y, x] = Counter(four).most_common(1)[0][0]  # of equally many the first that was met
    return result


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (7, 5), (40, 33)])
def test_most_of_four_decide(shape: tuple[int, int]) -> None:
    class_map = np.random.default_rng(1).choice(np.array([0, 1, 2, 255], np.uint8), shape)
    assert np.array_equal(halved(class_map), slowly(class_map))


def overviews(layers: Layers, class_map: np.ndarray, least: int, rows: int) -> list[Layers]:
    made = Overviews(layers, "classes", least)
    for top in range(0, len(class_map), rows):
        made.add(class_map[top : top + rows])
    return made.levels


@pytest.mark.parametrize("rows", [1, 3, 16, 131])
def test_halves_of_a_layer_do_not_depend_on_its_strips(tmp_path: Path, rows: int) -> None:
    class_map = np.random.default_rng(2).integers(0, 3, (131, 77), np.uint8)
    layers = Layers(tmp_path, 131, 77)
    for _ in range(2):  # those of a run that was killed are made anew
        made = overviews(layers, class_map, 30, rows)
    assert [(level.height, level.width) for level in made] == [(66, 39), (33, 20), (17, 10)]
    for level in made:
        class_map = halved(class_map)
        assert np.array_equal(level.read(level.names[0], 0, level.height), class_map)
        assert level.path(level.names[0]).stat().st_size == class_map.size


def test_they_are_those_of_the_file(tmp_path: Path) -> None:
    class_map = np.random.default_rng(3).integers(0, 2, (1100, 530), np.uint8)
    layers = Layers(tmp_path, 1100, 530)
    layers.create()
    layers.write(0, (class_map, class_map))
    geo = GeoReference(CRS.from_epsg(32633).to_wkt(), (0.1, 0.0, 500000.0, 0.0, -0.1, 5400000.0), 1100, 530)
    (tmp_path / "out").mkdir()
    table = ClassTable(("a", "b"), ((0, 0, 0), (9, 9, 9)))
    write_class_cog(layers, overviews(layers, class_map, 512, 100), geo, table, tmp_path / "out" / "a.tif")
    for level in range(2):
        class_map = halved(class_map)
        with rasterio.open(tmp_path / "out" / "a.tif", overview_level=level) as dataset:
            assert np.array_equal(dataset.read(1), class_map)
            assert dataset.colormap(1)[1] == (9, 9, 9, 255)
