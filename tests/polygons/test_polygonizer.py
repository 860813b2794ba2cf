from collections.abc import Callable

import numpy as np
import pytest

from rsseg_edge.polygons.labels import find_runs, label, number_runs
from rsseg_edge.polygons.polygonizer import Regions, regions

from ..blobs import blobs

shapely = pytest.importorskip("shapely")


def class_map(height: int, width: int, seed: int = 0) -> np.ndarray:
    found = (blobs(height, width, seed, 9)[0] // 64).astype(np.uint8)
    found[height // 3 : height // 2, width // 4 : width // 2] = 255
    found[::7, -1] = 255
    return found


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), (height, width))


def all_regions(classes: np.ndarray, rows: int, tolerance: float, area: float = 0.25) -> Regions:
    """In an order of their own, so that those of other bands compare."""
    sure = (np.arange(classes.size, dtype=np.uint32) % 251).astype(np.uint8).reshape(classes.shape)
    bands = []
    for top in range(0, len(classes), rows):
        part = classes[top : top + rows]
        bands.append((part, find_runs(part, sure[top : top + rows])))
    batches = list(regions(bands, np.full(len(classes), area), classes.shape[1], tolerance))
    polygon = np.concatenate([batch.polygon for batch in batches])
    order = np.argsort(shapely.to_wkb(shapely.normalize(polygon)), kind="stable")
    numbers = (
        np.concatenate([getattr(batch, name) for batch in batches])[order]
        for name in ("class_index", "pixels", "area", "confidence")
    )
    return Regions(*numbers, polygon[order])


def labelled(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The region of each pixel, and the class of each region."""
    runs, numbers = find_runs(classes, classes), np.empty(classes.shape, np.int32)
    number_runs(classes, numbers)
    region, region_class = label(classes, runs, numbers)
    return region[numbers], region_class


MAPS = pytest.mark.parametrize("make", [class_map, noise])


@MAPS
@pytest.mark.parametrize("rows", [1, 17, 64])
@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_regions_do_not_depend_on_the_bands(make: Callable[..., np.ndarray], rows: int, tolerance: float) -> None:
    classes = make(150, 131)
    found, expected = all_regions(classes, rows, tolerance), all_regions(classes, 150, tolerance)
    assert np.array_equal(found.class_index, expected.class_index)
    assert np.array_equal(found.pixels, expected.pixels)
    assert found.confidence == pytest.approx(expected.confidence, abs=1e-9)
    assert found.area == pytest.approx(found.pixels / 4)
    assert shapely.equals_identical(shapely.normalize(found.polygon), shapely.normalize(expected.polygon)).all()


@MAPS
def test_every_pixel_is_in_the_polygon_of_its_class(make: Callable[..., np.ndarray]) -> None:
    classes = make(60, 47)
    found = all_regions(classes, 13, 0)
    y, x = np.nonzero(classes != 255)
    tree = shapely.STRtree(found.polygon)
    points, polygons = tree.query(shapely.points(x + 0.5, y + 0.5), predicate="within")
    assert np.array_equal(points, np.arange(len(x))), "each in one polygon"
    assert np.array_equal(found.class_index[polygons], classes[y, x])
    assert np.array_equal(np.bincount(polygons), found.pixels)
    assert shapely.area(found.polygon) == pytest.approx(found.pixels)


@MAPS
@pytest.mark.parametrize("tolerance", [0.6, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_simplified_neighbours_neither_overlap_nor_part(
    make: Callable[..., np.ndarray], tolerance: float, seed: int
) -> None:
    classes = make(67, 71, seed)
    found, exact = all_regions(classes, 40, tolerance), all_regions(classes, 40, 0)
    assert shapely.is_valid(found.polygon).all()
    assert (shapely.get_type_id(found.polygon) == shapely.GeometryType.POLYGON).all()
    assert shapely.area(found.polygon) == pytest.approx(found.pixels, abs=1e-5), "each keeps the area of its pixels"
    total, union = shapely.area(found.polygon).sum(), shapely.union_all(found.polygon).area
    assert total == pytest.approx(union, rel=1e-9), "polygons overlap"
    assert total == pytest.approx((classes != 255).sum())
    assert (
        shapely.hausdorff_distance(
            shapely.union_all(shapely.boundary(found.polygon)), shapely.union_all(shapely.boundary(exact.polygon))
        )
        < 0.72
    ), "a corner is cut, or half a pixel"


def test_simplified_polygons_have_fewer_corners() -> None:
    classes = class_map(300, 310)
    found, exact = all_regions(classes, 300, 1.0), all_regions(classes, 300, 0)
    assert shapely.get_num_coordinates(found.polygon).sum() < 0.8 * shapely.get_num_coordinates(exact.polygon).sum()


def test_rectangles_and_the_border_to_no_data_stay_as_they_are() -> None:
    classes = np.zeros((40, 50), np.uint8)
    classes[5:9, 6:20] = 1
    classes[20:, :] = 255
    classes[np.arange(20, 40), np.arange(20, 40)] = 0
    found, exact = all_regions(classes, 40, 1.0), all_regions(classes, 40, 0)
    assert shapely.equals_identical(shapely.normalize(found.polygon), shapely.normalize(exact.polygon)).all()


def test_a_slanted_border_becomes_a_line() -> None:
    y, x = np.mgrid[:60, :80]
    classes = (3 * y > x + 20).astype(np.uint8)
    found = all_regions(classes, 60, 1.0)
    assert found.pixels.tolist() == shapely.area(found.polygon).round(6).tolist()
    assert shapely.get_num_coordinates(found.polygon).max() < 12


def test_regions_are_connected_by_edges_not_corners() -> None:
    classes = np.array([[1, 0, 1], [0, 1, 1], [255, 255, 0]], np.uint8)
    labels, region_class = labelled(classes)
    assert len(region_class) == 6
    assert np.bincount(region_class, minlength=256)[[0, 1, 255]].tolist() == [3, 2, 1]
    assert labels[0, 0] != labels[1, 1]
    assert labels[0, 2] == labels[1, 1]


@MAPS
def test_regions_are_those_of_opencv(make: Callable[..., np.ndarray]) -> None:
    import cv2

    classes = make(90, 70)
    labels, region_class = labelled(classes)
    for index in np.unique(classes).tolist():
        count, expected = cv2.connectedComponents((classes == index).astype(np.uint8), connectivity=4)
        assert (region_class == index).sum() == count - 1
        assert len(np.unique(np.stack([labels, expected])[:, classes == index], axis=1).T) == count - 1


def test_a_scene_without_data_has_no_polygons() -> None:
    assert len(all_regions(np.full((30, 20), 255, np.uint8), 8, 1.0)) == 0
