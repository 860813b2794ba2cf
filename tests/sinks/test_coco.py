from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from rsseg_edge.errors import RssegError
from rsseg_edge.sinks.coco import CocoMasks
from rsseg_edge.types import ClassTable, Frame, Result, Segmentation

TABLE = ClassTable(("none", "road", "haus ä"), ((0, 0, 0), (200, 0, 0), (0, 200, 0)), background=0)


def result(index: int, table: ClassTable = TABLE, size: tuple[int, int] = (37, 53), masks: bool = False) -> Result:
    chance = np.random.default_rng(index)
    class_map = np.kron(chance.integers(0, len(table), (4, 5), np.uint8), np.ones((10, 11), np.uint8))
    class_map = np.ascontiguousarray(class_map[: size[0], : size[1]])
    overlapping = chance.random((len(table) - 1, *class_map.shape)) > 0.7 if masks else None
    segmentation = Segmentation(class_map, class_map, table, overlapping)
    frame = Frame(np.zeros((*size, 3), np.uint8), index, "clip", index * 40, Fraction(1, 1000))
    return Result(frame, segmentation, segmentation.pixel_counts())


def load(path: Path) -> COCO:
    return COCO(str(path))


def test_pycocotools_reads_the_very_masks(tmp_path: Path) -> None:
    given = [result(index) for index in range(5)]
    with CocoMasks(tmp_path / "c.json") as sink:
        for one in given:
            sink.write(one)
        assert not (tmp_path / "c.json").exists()
    found = load(tmp_path / "c.json")
    assert sorted(c["name"] for c in found.loadCats(found.getCatIds())) == ["haus ä", "road"]
    assert [(i["frame"], i["time"], i["height"], i["width"]) for i in found.loadImgs(found.getImgIds())] == [
        (n, n * 0.04, 37, 53) for n in range(5)
    ]
    for at, one in enumerate(given, 1):
        rebuilt = np.zeros_like(one.segmentation.class_map)
        for annotation in found.loadAnns(found.getAnnIds(imgIds=[at])):
            name = found.cats[annotation["category_id"]]["name"]
            mask = found.annToMask(annotation).astype(bool)
            assert annotation["area"] == mask.sum()
            rebuilt[mask] = TABLE.names.index(name)
        assert (rebuilt == one.segmentation.class_map).all()
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_classes_that_change_keep_their_ids_and_those_not_wanted_are_left_out(tmp_path: Path) -> None:
    other = ClassTable(("water", "road"), ((0, 0, 9), (9, 0, 0)))
    with CocoMasks(tmp_path / "c.json", only=["road", "water"]) as sink:
        sink.write(result(0))
        sink.write(result(1, other))
    found = load(tmp_path / "c.json")
    assert {c["name"]: c["id"] for c in found.loadCats(found.getCatIds())} == {"road": 1, "water": 2}


def test_masks_that_overlap_are_all_there(tmp_path: Path) -> None:
    one = result(3, masks=True)
    with CocoMasks(tmp_path / "c.json") as sink:
        sink.write(one)
    found = load(tmp_path / "c.json")
    assert one.segmentation.masks is not None
    for annotation in found.loadAnns(found.getAnnIds()):
        index = TABLE.names.index(found.cats[annotation["category_id"]]["name"])
        assert (found.annToMask(annotation).astype(bool) == one.segmentation.masks[index - 1]).all()


def test_a_run_without_a_frame_or_a_class_is_a_whole_file(tmp_path: Path) -> None:
    with CocoMasks(tmp_path / "empty.json"):
        pass
    with CocoMasks(tmp_path / "none.json", only=["no such class"]) as sink:
        sink.write(result(0))
    assert load(tmp_path / "empty.json").getImgIds() == []
    assert len(load(tmp_path / "none.json").getImgIds()) == 1


def test_a_still_image_has_no_time_and_its_own_name(tmp_path: Path) -> None:
    one = result(0)
    with CocoMasks(tmp_path / "c.json") as sink:
        sink.write(replace(one, frame=replace(one.frame, pts=None, time_base=None, name="photo")))
    (image,) = load(tmp_path / "c.json").loadImgs([1])
    assert (image["time"], image["file_name"]) == (None, "photo")


def write_all(sink: CocoMasks, frames: int) -> None:
    with sink:
        for index in range(frames):
            sink.write(result(index))


def test_a_full_disk_is_named_and_leaves_nothing(small_disk: Path) -> None:
    sink = CocoMasks(small_disk / "c.json")
    with pytest.raises(RssegError, match=r"cannot write .*c\.json: No space left on device"):
        write_all(sink, 5000)
    assert list(small_disk.iterdir()) == []
