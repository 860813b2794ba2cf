from pathlib import Path

import cv2
import numpy as np
import pytest

from rsseg_edge.errors import RssegError
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.images import ImageFiles, output_names, read_image

# A little-endian EXIF block with one entry: orientation 6, "turn by 90 degrees clockwise to see it upright".
TURNED = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


def red_above_blue(height: int = 31, width: int = 47) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, :, 0] = 255
    image[height // 2 :, :, 2] = 255
    return image


def write(path: Path, rgb: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), rgb[..., ::-1] if rgb.ndim == 3 else rgb)
    return path


def test_png_is_read_as_rgb(tmp_path: Path) -> None:
    image = red_above_blue()
    assert np.array_equal(read_image(write(tmp_path / "a.png", image)), image)


def test_exif_orientation_turns_the_image_upright(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", red_above_blue())
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(TURNED) + 2).to_bytes(2, "big") + TURNED + data[2:])
    upright = read_image(path)
    assert upright.shape == (47, 31, 3)
    assert upright[:, -5, 0].min() > 200, "red was above; turned clockwise it is at the right"
    assert upright[:, 5, 2].min() > 200


def test_alpha_is_left_out(tmp_path: Path) -> None:
    bgra = np.full((9, 7, 4), 128, np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), bgra)
    assert read_image(tmp_path / "a.png").shape == (9, 7, 3)


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("grey.png", np.zeros((8, 8), np.uint8), "one channel"),
        ("grey.tif", np.zeros((8, 8), np.uint8), "one channel"),
        ("deep.png", np.zeros((8, 8, 3), np.uint16), "16 bits a channel"),
        ("deep.tif", np.zeros((8, 8, 3), np.uint16), "16 bits a channel"),
        ("deepgrey.tif", np.zeros((8, 8), np.uint16), "16 bits a channel"),
    ],
)
def test_what_is_not_8_bit_colour_is_refused(tmp_path: Path, name: str, image: np.ndarray, message: str) -> None:
    with pytest.raises(RssegError, match=f"{name}: {message}") as caught:
        read_image(write(tmp_path / name, image))
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("content", [b"", b"not an image at all"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(RssegError, match=r"a\.png: not an image"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_half_an_image_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = write(tmp_path / f"a{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RssegError, match="cut short"):
        read_image(path)


def test_a_bad_image_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.png", red_above_blue()) for n in "abc"]
    paths[1].write_bytes(b"x")
    told: list[str] = []
    frames = list(ImageFiles(paths, Selection(), report=told.append).frames())
    assert [(f.index, f.name) for f in frames] == [(0, "a"), (2, "c")]
    assert len(told) == 1
    assert "b.png" in told[0]


def test_stride_and_max_frames_keep_the_index(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.png", red_above_blue()) for n in "abcdefg"]
    source = ImageFiles(paths, Selection(stride=3, max_frames=2))
    assert source.expected == 2
    assert [(f.index, f.name) for f in source.frames()] == [(0, "a"), (3, "d")]


def test_names_that_would_collide_grow() -> None:
    assert output_names([Path("a/1.png"), Path("b/1.png"), Path("b/2.png"), Path("b/2.jpg"), Path("b/3.png")]) == [
        "a_1",
        "b_1",
        "2.png",
        "2.jpg",
        "3",
    ]


def test_names_are_never_shared_even_where_everything_repeats() -> None:
    names = output_names([Path("x/a/1.png"), Path("y/a/1.png"), Path("z/a/1.png")])
    assert len(set(names)) == 3
