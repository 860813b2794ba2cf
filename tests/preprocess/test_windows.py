import pytest

from rsseg_edge.preprocess.windows import pad_to_multiple, windows


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (448, [(0, 224), (112, 336), (224, 448)]),
        (449, [(0, 224), (112, 336), (224, 448), (225, 449)]),
        (224, [(0, 224)]),
        (225, [(0, 224), (1, 225)]),
        (100, [(0, 100)]),
    ],
)
def test_last_window_is_pulled_back_inside(length, expected):
    assert windows(length, 224, 112) == expected


@pytest.mark.parametrize("length", [1, 7, 8, 9, 30, 31, 32, 33])
@pytest.mark.parametrize("stride", [1, 3, 8])
def test_windows_cover_everything_and_are_of_one_size(length, stride):
    found = windows(length, 8, stride)
    assert {i for start, end in found for i in range(start, end)} == set(range(length))
    assert {end - start for start, end in found} == {min(8, length)}
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(("length", "expected"), [(32, (0, 0)), (31, (0, 1)), (29, (1, 2)), (1, (7, 8))])
def test_content_is_centred_and_the_odd_pixel_comes_after(length, expected):
    assert pad_to_multiple(length, 16) == expected
