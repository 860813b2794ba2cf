from pathlib import Path

import cv2
import numpy as np
import pytest

from rsseg_edge.errors import RssegError
from rsseg_edge.postprocess.drawing import Drawing
from rsseg_edge.sinks.images import ClassMaps, OverlayImages
from rsseg_edge.types import ClassTable, Frame, Result, Segmentation

TABLE = ClassTable(("a", "b"), ((200, 0, 0), (0, 0, 200)))


def result(name: str = "x") -> Result:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (67, 131, 3), dtype=np.uint8)
    class_map = rng.integers(0, 2, (67, 131), dtype=np.uint8)
    return Result(Frame(image, 3, name), Segmentation(class_map, class_map, TABLE), np.zeros(2, np.int64))


def test_class_map_is_written_without_loss(tmp_path: Path) -> None:
    given = result()
    ClassMaps(lambda frame: tmp_path / "maps" / f"{frame.index:06d}.png").write(given)
    read = cv2.imread(str(tmp_path / "maps" / "000003.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read, given.segmentation.class_map)


def test_overlay_has_the_size_and_channel_order_of_the_image(tmp_path: Path) -> None:
    given = result()
    OverlayImages(tmp_path, Drawing(None, 1.0).draw).write(given)
    rgb = cv2.imread(str(tmp_path / "x.overlay.png"))[..., ::-1]
    assert rgb.shape == (67, 131, 3)
    assert rgb[66, 130].tolist() == list(TABLE.colors[given.segmentation.class_map[66, 130]])


def test_full_disk_keeps_the_images_that_were_finished(small_disk: Path) -> None:
    sink = OverlayImages(small_disk, Drawing(None, 0.5).draw)
    many = (sink.write(result(str(index))) for index in range(100))
    with pytest.raises(RssegError, match=r"cannot write .*\.overlay\.png: No space left on device"):
        list(many)
    finished = sorted(small_disk.iterdir())
    assert len(finished) > 2
    for path in finished:
        assert cv2.imread(str(path)) is not None
