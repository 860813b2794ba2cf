from fractions import Fraction
from pathlib import Path

import numpy as np

from rsseg_edge.postprocess.drawing import Drawing
from rsseg_edge.types import ClassTable, Segmentation, VideoFormat

ONE = ClassTable(("road", "water"), ((255, 0, 0), (0, 0, 255)))
OTHER = ClassTable(("roof", "background"), ((0, 255, 0), (9, 9, 9)), background=1)
VIDEO = VideoFormat(Path("v"), 64, 48, Fraction(25), Fraction(1, 25))


def segmentation(table: ClassTable, index: int) -> Segmentation:
    class_map = np.full((48, 64), index, np.uint8)
    return Segmentation(class_map, class_map, table)


def test_each_frame_is_drawn_by_the_table_that_it_carries() -> None:
    image = np.full((48, 64, 3), 100, np.uint8)
    drawing = Drawing(None, 1.0)
    assert drawing.draw(image, segmentation(ONE, 1))[-1, -1].tolist() == [0, 0, 255]
    assert drawing.draw(image, segmentation(OTHER, 0))[-1, -1].tolist() == [0, 255, 0]
    assert drawing.draw(image, segmentation(ONE, 0))[-1, -1].tolist() == [255, 0, 0]


def test_the_background_shows_the_picture_and_is_not_in_the_legend() -> None:
    image = np.full((48, 64, 3), 100, np.uint8)
    assert Drawing(None, 1.0).draw(image, segmentation(OTHER, 1))[-1, -1].tolist() == [100, 100, 100]
    assert Drawing(("background",), 1.0).draw(image, segmentation(OTHER, 1))[-1, -1].tolist() == [9, 9, 9]


def test_a_vocabulary_may_change_within_a_video() -> None:
    draw = Drawing(None, 1.0).on_video(VIDEO)
    planes = tuple(np.full(size, 128, np.uint8) for size in ((48, 64), (24, 32), (24, 32)))
    corners = []
    for given in (segmentation(ONE, 0), segmentation(OTHER, 0), segmentation(ONE, 0)):
        out = tuple(np.zeros_like(plane) for plane in planes)
        draw(planes, given, out)
        corners.append(tuple(int(plane[-1, -1]) for plane in out))
    assert corners[0] == corners[2] != corners[1]
