import av
import numpy as np
import pytest

from rsseg_edge.postprocess.color import rgb_to_ycbcr
from rsseg_edge.types import ColorTags


@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_come_back_through_ffmpeg(matrix: int, full_range: bool) -> None:
    colors = np.array(
        [[200, 50, 50], [160, 140, 90], [40, 160, 60], [40, 90, 200], [255, 255, 255], [0, 0, 0]], np.uint8
    )
    for color in colors:
        y, cb, cr = rgb_to_ycbcr(color, ColorTags(matrix, full_range)).tolist()
        planes = np.concatenate([np.full((64, 64), y), np.full((16, 64), cb), np.full((16, 64), cr)]).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.colorspace, frame.color_range = matrix, 2 if full_range else 1
        shown = frame.to_ndarray(format="rgb24")[32, 32]
        assert np.abs(shown.astype(int) - color).max() <= 3, (color, shown)


def test_white_and_black_span_the_range() -> None:
    black_white = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    assert rgb_to_ycbcr(black_white, ColorTags()).tolist() == [[16, 128, 128], [235, 128, 128]]
    assert rgb_to_ycbcr(black_white, ColorTags(1, full_range=True)).tolist() == [[0, 128, 128], [255, 128, 128]]
