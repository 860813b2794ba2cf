"""Regions of a frame: exact areas, common borders, masks that overlap."""

import numpy as np
import pytest

from rsseg_edge.sinks.regions import Region, regions
from rsseg_edge.types import ClassTable, Segmentation

from ..blobs import blobs

shapely = pytest.importorskip("shapely")

TABLE = ClassTable(("none", "land", "house", "water"), ((0, 0, 0), (90, 90, 0), (200, 0, 0), (0, 0, 200)), background=0)
ALL = range(len(TABLE))


def frame(class_map: np.ndarray, masks: np.ndarray | None = None) -> Segmentation:
    confidence = (np.arange(class_map.size, dtype=np.uint32) * 7 % 256).astype(np.uint8).reshape(class_map.shape)
    return Segmentation(class_map.astype(np.uint8), confidence, TABLE, masks)


def blotches(height: int = 83, width: int = 101, seed: int = 0) -> np.ndarray:
    """Blobs of all classes, and specks."""
    class_map = blobs(height, width, seed, 11)[0] // 64
    specks = np.random.default_rng(seed).random(class_map.shape)
    class_map[specks > 0.99] = 3
    return class_map


def components(mask: np.ndarray, segmentation: Segmentation) -> list[tuple[int, float]]:
    """Pixels and mean confidence of the regions of a mask, as OpenCV finds them."""
    import cv2

    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    confidence = segmentation.confidence / 255
    return sorted((int((labels == k).sum()), float(confidence[labels == k].mean())) for k in range(1, count))


def measured(found: list[Region], index: int) -> list[tuple[int, float]]:
    return sorted((region.pixels, region.confidence) for region in found if region.index == index)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tolerance", [0.0, 0.6, 1.0])
def test_each_polygon_has_the_area_of_its_pixels(seed: int, tolerance: float) -> None:
    class_map = blotches(seed=seed)
    found = list(regions(frame(class_map), ALL, least=1, tolerance=tolerance))
    assert [region.polygon.area for region in found] == pytest.approx([region.pixels for region in found], abs=1e-6)
    for index in ALL:
        area = sum(region.polygon.area for region in found if region.index == index)
        assert area == pytest.approx((class_map == index).sum())


@pytest.mark.parametrize("seed", range(4))
def test_neighbours_neither_overlap_nor_part(seed: int) -> None:
    class_map = blotches(seed=seed)
    polygons = np.array([region.polygon for region in regions(frame(class_map), ALL, least=1)])
    assert shapely.is_valid(polygons).all()
    union = shapely.union_all(polygons)
    assert union.area == pytest.approx(shapely.area(polygons).sum(), rel=1e-12)
    assert union.area == pytest.approx(class_map.size, rel=1e-12)
    assert union.symmetric_difference(shapely.box(0, 0, *class_map.shape[::-1])).area < 1e-6
    first, second = shapely.STRtree(polygons).query(polygons, predicate="overlaps")
    assert shapely.area(shapely.intersection(polygons[first], polygons[second])).sum() < 1e-6


def test_regions_are_those_of_opencv_class_by_class() -> None:
    segmentation = frame(blotches())
    found = list(regions(segmentation, (3, 1), least=1))
    order = [region.index for region in found]
    assert order == sorted(order, reverse=True), "in the order in which the classes were named"
    assert set(order) == {1, 3}
    for index in (1, 3):
        expected = components(segmentation.class_map == index, segmentation)
        assert [pixels for pixels, _ in measured(found, index)] == [pixels for pixels, _ in expected]
        assert [mean for _, mean in measured(found, index)] == pytest.approx([mean for _, mean in expected])


def test_an_outline_does_not_depend_on_what_else_is_asked_for() -> None:
    segmentation = frame(blotches())
    every = [region.polygon for region in regions(segmentation, ALL) if region.index == 2]
    alone = [region.polygon for region in regions(segmentation, (2,))]
    assert len(alone) > 0
    assert shapely.equals_identical(every, alone).all()


def test_pixels_lie_in_the_polygon_of_their_class_in_continuous_coordinates() -> None:
    class_map = blotches(40, 53)
    found = list(regions(frame(class_map), ALL, least=1, tolerance=0))
    y, x = np.mgrid[:40, :53]
    points, polygons = shapely.STRtree([region.polygon for region in found]).query(
        shapely.points(x.ravel() + 0.5, y.ravel() + 0.5), predicate="within"
    )
    assert np.array_equal(points, np.arange(class_map.size))
    assert np.array_equal(np.array([region.index for region in found])[polygons], class_map.ravel())


def test_the_stairs_of_a_slope_become_a_line() -> None:
    y, x = np.mgrid[:60, :80]
    stairs = list(regions(frame(3 * y > x + 20), (1,), tolerance=0))
    (slope,) = regions(frame(3 * y > x + 20), (1,))
    assert shapely.get_num_coordinates(stairs[0].polygon) > 40
    assert shapely.get_num_coordinates(slope.polygon) < 12
    assert shapely.hausdorff_distance(shapely.boundary(slope.polygon), shapely.boundary(stairs[0].polygon)) < 0.72


def test_holes_are_kept_and_what_lies_in_them_is_a_region_of_its_own() -> None:
    class_map = np.zeros((40, 50), np.uint8)
    class_map[5:30, 5:40] = 2
    class_map[10:20, 10:20] = 3
    class_map[12:17, 12:17] = 2
    class_map[22:28, 30:38] = 0
    found = list(regions(frame(class_map), (2, 3)))
    assert sorted((region.index, region.pixels, len(region.polygon.interiors)) for region in found) == [
        (2, 25, 0),
        (2, 25 * 35 - 100 - 48, 2),
        (3, 75, 1),
    ]
    assert [region.polygon.area for region in found] == pytest.approx([region.pixels for region in found])


def test_smaller_regions_are_left_out_and_stay_holes() -> None:
    class_map = np.full((20, 30), 1, np.uint8)
    class_map[3:6, 3:8] = 2  # 15 pixels
    class_map[10:14, 10:14] = 2  # 16
    found = list(regions(frame(class_map), (1, 2)))
    assert [(region.index, region.pixels) for region in found] == [(1, 600 - 31), (2, 16)]
    assert len(found[0].polygon.interiors) == 2
    assert [region.pixels for region in regions(frame(class_map), (2,), least=15)] == [15, 16]
    assert list(regions(frame(class_map), (2,), least=17)) == []


def test_a_single_pixel_is_a_square_and_corners_do_not_connect() -> None:
    class_map = np.zeros((6, 7), np.uint8)
    class_map[1, 2] = class_map[2, 3] = class_map[5, 6] = 3
    found = list(regions(frame(class_map), (3,), least=1))
    boxes = [shapely.box(2, 1, 3, 2), shapely.box(3, 2, 4, 3), shapely.box(6, 5, 7, 6)]
    assert [region.pixels for region in found] == [1, 1, 1]
    assert all(any(region.polygon.equals(box) for box in boxes) for region in found)
    assert len({region.polygon.bounds for region in found}) == 3


def test_a_frame_of_one_class_is_its_rectangle() -> None:
    (region,) = regions(frame(np.full((9, 13), 1, np.uint8)), ALL)
    assert region.polygon.equals(shapely.box(0, 0, 13, 9))
    assert (region.index, region.pixels) == (1, 117)
    (pixel,) = regions(frame(np.ones((1, 1), np.uint8)), ALL, least=1)
    assert pixel.polygon.equals(shapely.box(0, 0, 1, 1))


@pytest.mark.parametrize("classes", [(), (2, 3)])
def test_a_frame_without_the_classes_has_no_regions(classes: tuple[int, ...]) -> None:
    assert list(regions(frame(np.ones((9, 13), np.uint8)), classes)) == []


def test_masks_that_overlap_are_drawn_each_by_itself() -> None:
    masks = np.stack([blobs(70, 90, seed, 13)[0] > 120 for seed in range(3)])
    masks[2] = False
    best = np.where(masks[0], 1, np.where(masks[1], 2, 0))
    segmentation = frame(best, masks)
    assert (masks[0] & masks[1]).any()
    found = list(regions(segmentation, ALL, least=1))
    for index, mask in enumerate((best == 0, *masks)):
        mine = [region for region in found if region.index == index]
        assert [pixels for pixels, _ in measured(found, index)] == [n for n, _ in components(mask, segmentation)]
        assert [mean for _, mean in measured(found, index)] == pytest.approx(
            [mean for _, mean in components(mask, segmentation)]
        )
        assert [region.polygon.area for region in mine] == pytest.approx([region.pixels for region in mine], abs=1e-6)
        assert sum(region.polygon.area for region in mine) == pytest.approx(mask.sum())
        union = shapely.union_all([region.polygon for region in mine]).area
        assert union == pytest.approx(mask.sum()), "of one class none overlap"
