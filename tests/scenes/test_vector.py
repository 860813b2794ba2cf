import numpy as np
import pytest
import shapely

from rsseg_edge.scenes.vector import label, regions

from .conftest import blobs


def class_map(height: int, width: int, seed: int = 0) -> np.ndarray:
    found = (blobs(height, width, seed, 9)[0] // 64).astype(np.uint8)
    found[height // 3 : height // 2, width // 4 : width // 2] = 255
    found[::7, -1] = 255
    return found


def all_regions(classes: np.ndarray, rows: int, tolerance: float, area: float = 0.25) -> list:
    sure = (np.arange(classes.size, dtype=np.uint32) % 251).astype(np.uint8).reshape(classes.shape)
    bands = [(classes[top : top + rows], sure[top : top + rows]) for top in range(0, len(classes), rows)]
    return [region for batch in regions(bands, np.full(len(classes), area), tolerance) for region in batch]


@pytest.mark.parametrize("rows", [1, 17, 64, 150])
def test_regions_do_not_depend_on_the_bands(rows: int) -> None:
    classes = class_map(150, 131)
    found = all_regions(classes, rows, 0)
    expected = all_regions(classes, 150, 0)
    assert sorted((r.class_index, r.pixels, round(r.confidence, 9)) for r in found) == sorted(
        (r.class_index, r.pixels, round(r.confidence, 9)) for r in expected
    )
    for region in found:
        assert region.polygon.geom_type == "Polygon"
        assert region.polygon.area == region.pixels
        assert region.area == pytest.approx(region.pixels / 4)
    outlines = {shapely.to_wkb(shapely.normalize(shapely.simplify(r.polygon, 0))) for r in expected}
    assert {shapely.to_wkb(shapely.normalize(shapely.simplify(r.polygon, 0))) for r in found} == outlines


@pytest.mark.parametrize("rows", [40, 150])
def test_simplified_neighbours_neither_overlap_nor_part(rows: int) -> None:
    classes = class_map(150, 131)
    found = all_regions(classes, rows, 1.0)
    polygons = np.array([r.polygon for r in found])
    assert shapely.is_valid(polygons).all()
    corners = shapely.get_num_coordinates(polygons).sum()
    assert (
        corners < 0.8 * shapely.get_num_coordinates(np.array([r.polygon for r in all_regions(classes, rows, 0)])).sum()
    )
    total, union = shapely.area(polygons).sum(), shapely.union_all(polygons).area
    assert total == pytest.approx(union, rel=1e-9), "polygons overlap"
    assert total == (classes != 255).sum()


def test_labels_are_connected_by_edges_not_corners() -> None:
    labels, classes = label(np.array([[1, 0, 1], [0, 1, 1], [255, 255, 0]], np.uint8))
    assert len(classes) == 6
    assert np.bincount(classes, minlength=256)[[0, 1, 255]].tolist() == [3, 2, 1]
    assert labels[0, 0] != labels[1, 1]
    assert labels[0, 2] == labels[1, 1]


def test_a_scene_without_data_has_no_polygons() -> None:
    assert all_regions(np.full((30, 20), 255, np.uint8), 8, 1.0) == []
