import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import ModuleType

import numpy as np
import pytest

from rsseg_edge.polygons import native, polygonize
from rsseg_edge.polygons.polygonize import wkb
from rsseg_edge.polygons.reference import labels, polygonizer
from rsseg_edge.polygons.regions import Regions

from .maps import blocks, class_map, noise

shapely = pytest.importorskip("shapely")

COMPILED = pytest.mark.skipif(native.library() is None, reason="installed without a C++ compiler: no rsseg_polygons")


@pytest.fixture(params=["reference", pytest.param("native", marks=COMPILED)])
def form(request: pytest.FixtureRequest) -> ModuleType:
    return {"reference": polygonizer, "native": native}[request.param]


@dataclass(frozen=True, eq=False)
class Found:
    class_index: np.ndarray
    pixels: np.ndarray
    area: np.ndarray
    confidence: np.ndarray
    polygon: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)


def all_regions(form: ModuleType, classes: np.ndarray, rows: int, tolerance: float) -> Found:
    """In an order of their own, so that those of other bands compare."""
    sure = (np.arange(classes.size, dtype=np.uint32) % 251).astype(np.uint8).reshape(classes.shape)
    made = form.Polygonizer(np.full(len(classes), 0.25), classes.shape[1], tolerance)
    batches = []
    for top in range(0, len(classes), rows):
        part = classes[top : top + rows]
        batches.append(made.add(part, labels.find_runs(part, sure[top : top + rows])))
    batches.append(made.finish())
    columns = {field.name: np.concatenate([getattr(batch, field.name) for batch in batches]) for field in fields(Found)}
    columns["polygon"] = shapely.normalize(columns["polygon"])
    places = shapely.to_wkb(shapely.transform(columns["polygon"], lambda xy: xy.round(6)))
    order = np.argsort(places, kind="stable")
    return Found(**{name: values[order] for name, values in columns.items()})


def labelled(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The region of each pixel, and the class of each region."""
    runs, numbers = labels.find_runs(classes, classes), np.empty(classes.shape, np.int32)
    labels.number_runs(classes, numbers)
    region, region_class = labels.label(classes, runs, numbers)
    return region[numbers], region_class


MAPS = pytest.mark.parametrize("make", [class_map, noise, blocks])


@MAPS
@pytest.mark.parametrize("rows", [1, 17, 64])
@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_regions_do_not_depend_on_the_bands(
    form: ModuleType, make: Callable[..., np.ndarray], rows: int, tolerance: float
) -> None:
    classes = make(150, 131)
    found, expected = all_regions(form, classes, rows, tolerance), all_regions(form, classes, 150, tolerance)
    assert np.array_equal(found.class_index, expected.class_index)
    assert np.array_equal(found.pixels, expected.pixels)
    assert found.confidence == pytest.approx(expected.confidence, abs=1e-9)
    assert found.area == pytest.approx(found.pixels / 4)
    assert shapely.equals_identical(found.polygon, expected.polygon).all()


@MAPS
def test_every_pixel_is_in_the_polygon_of_its_class(form: ModuleType, make: Callable[..., np.ndarray]) -> None:
    classes = make(60, 47)
    found = all_regions(form, classes, 13, 0)
    y, x = np.nonzero(classes != 255)
    tree = shapely.STRtree(found.polygon)
    points, polygons = tree.query(shapely.points(x + 0.5, y + 0.5), predicate="within")
    assert np.array_equal(points, np.arange(len(x))), "each in one polygon"
    assert np.array_equal(found.class_index[polygons], classes[y, x])
    assert np.array_equal(np.bincount(polygons), found.pixels)
    assert shapely.area(found.polygon) == pytest.approx(found.pixels)


@MAPS
@pytest.mark.parametrize("tolerance", [0.6, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_simplified_neighbours_neither_overlap_nor_part(
    form: ModuleType, make: Callable[..., np.ndarray], tolerance: float, seed: int
) -> None:
    classes = make(67, 71, seed)
    found, exact = all_regions(form, classes, 40, tolerance), all_regions(form, classes, 40, 0)
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


def test_simplified_polygons_have_fewer_corners(form: ModuleType) -> None:
    classes = class_map(300, 310)
    found, exact = all_regions(form, classes, 300, 1.0), all_regions(form, classes, 300, 0)
    assert shapely.get_num_coordinates(found.polygon).sum() < 0.8 * shapely.get_num_coordinates(exact.polygon).sum()


def test_rectangles_and_the_border_to_no_data_stay_as_they_are(form: ModuleType) -> None:
    classes = np.zeros((40, 50), np.uint8)
    classes[5:9, 6:20] = 1
    classes[20:, :] = 255
    classes[np.arange(20, 40), np.arange(20, 40)] = 0
    found, exact = all_regions(form, classes, 40, 1.0), all_regions(form, classes, 40, 0)
    assert shapely.equals_identical(found.polygon, exact.polygon).all()


def test_a_slanted_border_becomes_a_line(form: ModuleType) -> None:
    y, x = np.mgrid[:60, :80]
    classes = (3 * y > x + 20).astype(np.uint8)
    found = all_regions(form, classes, 60, 1.0)
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


def test_a_scene_without_data_has_no_polygons(form: ModuleType) -> None:
    assert len(all_regions(form, np.full((30, 20), 255, np.uint8), 8, 1.0)) == 0


@COMPILED
@MAPS
@pytest.mark.parametrize("tolerance", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_both_forms_give_the_same_regions(make: Callable[..., np.ndarray], tolerance: float, seed: int) -> None:
    classes = make(150 + seed, 131 - seed, seed)
    found, expected = all_regions(native, classes, 64, tolerance), all_regions(polygonizer, classes, 150, tolerance)
    assert np.array_equal(found.class_index, expected.class_index)
    assert np.array_equal(found.pixels, expected.pixels)
    assert found.area == pytest.approx(expected.area)
    assert found.confidence == pytest.approx(expected.confidence, abs=1e-9)
    places, wanted = (shapely.get_coordinates(regions.polygon) for regions in (found, expected))
    assert np.array_equal(*(shapely.get_num_coordinates(regions.polygon) for regions in (found, expected)))
    assert places == pytest.approx(wanted, abs=1e-9)


@COMPILED
@MAPS
def test_both_forms_find_the_same_runs(make: Callable[..., np.ndarray]) -> None:
    classes = make(97, 83)
    confidence = np.random.default_rng(0).integers(0, 256, classes.shape, np.uint8)
    found, expected = (form.find_runs(classes, confidence) for form in (native, labels))
    for field in fields(found):
        values, wanted = (getattr(runs, field.name) for runs in (found, expected))
        assert values.dtype == wanted.dtype
        assert np.array_equal(values, wanted), field.name


def regions_of(form: ModuleType, classes: np.ndarray) -> Regions:
    made = form.Polygonizer(np.ones(len(classes)), classes.shape[1], 1.0)
    made.add(classes, labels.find_runs(classes, classes))
    return made.finish()


@COMPILED
def test_polygons_are_written_as_shapely_writes_them() -> None:
    regions = regions_of(native, class_map(60, 50))
    scale, shift = (0.3, -0.7), (5e5, 4e6)
    placed = shapely.transform(regions.polygon, lambda xy: xy * np.array(scale) + np.array(shift))
    assert (shapely.get_num_interior_rings(placed) > 0).any()
    assert wkb(regions, scale, shift).tolist() == shapely.to_wkb(placed).tolist()


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=COMPILED), False])
def test_what_was_compiled_is_used_where_it_is_there(monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    made: list[str] = []

    def noted(form: ModuleType, name: str) -> None:
        method = form.Polygonizer.add
        monkeypatch.setattr(
            form.Polygonizer, "add", lambda self, classes, runs: made.append(name) or method(self, classes, runs)
        )

    noted(native, "native")
    noted(polygonizer, "reference")
    if not compiled:
        monkeypatch.setattr(native, "library", lambda: None)
        monkeypatch.setattr(native, "find_runs", None)
    classes = class_map(40, 30)
    bands = [(part, polygonize.find_runs(part, part)) for part in (classes[:25], classes[25:])]
    found = sum(int(part.pixels.sum()) for part in polygonize.regions(bands, np.ones(40), 30, 1.0))
    assert found == (classes != 255).sum()
    assert made[:2] == ["native" if compiled else "reference"] * 2


def test_without_the_compiled_library_shapely_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)
    regions = regions_of(polygonizer, class_map(30, 20))
    (first, *_) = shapely.from_wkb(wkb(regions, (2, 2), (1, 0)))
    expected = shapely.transform(regions.polygon[0], lambda xy: xy * 2 + np.array([1, 0]))
    assert shapely.equals_identical(first, expected)


@COMPILED
def test_rows_that_are_not_the_scenes_are_refused() -> None:
    classes = class_map(20, 30)
    runs = labels.find_runs(classes, classes)
    with pytest.raises(ValueError, match=r"rows \(20, 30\) after row 0, with \d+ runs"):
        native.Polygonizer(np.ones(20), 31, 1.0).add(classes, runs)
    with pytest.raises(ValueError, match="after row 0"):
        native.Polygonizer(np.ones(18), 30, 1.0).add(classes, runs)
    with pytest.raises(ValueError, match="class map"):
        native.find_runs(classes, classes[:10])


FILLS_MEMORY = """
import resource
import numpy as np
from rsseg_edge.errors import RssegError
from rsseg_edge.polygons import native
stripes = (np.add.outer(np.arange(8), np.arange(4096)) // 4 % 2).astype(np.uint8)  # slanting: a corner in every row
runs = native.find_runs(stripes, stripes)
made = native.Polygonizer(np.full(1_000_000, 0.25), stripes.shape[1], 0)
made.add(stripes, runs)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20), -1))
try:
    for _ in range(100_000):
        made.add(stripes, runs)
except RssegError as error:
    print(error)
"""


@COMPILED
def test_the_end_of_memory_is_one_line():
    ran = subprocess.run([sys.executable, "-I", "-c", FILLS_MEMORY], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "there is no memory left for polygons; --polygons none leaves them out\n"
