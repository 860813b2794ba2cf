"""Index masks come back as they were written, however they are stored."""

import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from rsseg_edge.datasets.masks import MaskDecoder, read_image
from rsseg_edge.datasets.table import DatasetSpec
from rsseg_edge.errors import RssegError, UsageError

INDICES = np.random.default_rng(5).integers(0, 4, (13, 19)).astype(np.uint8)


def values_spec(**changes):
    classes = [{"name": f"c{i}", "mask": [i], "color": (i, 0, 0)} for i in range(4)]
    files = [{"image": "{n}.png", "mask": "{n}_mask.png"}]
    return DatasetSpec(**{"name": "own", "classes": classes, "files": files, "splits": {"train": {}}, **changes})


def test_palette_png_gives_its_indices_whatever_its_colours(tmp_path):
    image = Image.frombytes("P", INDICES.shape[::-1], INDICES.tobytes())
    image.putpalette([200, 10, 10] * 4)  # all four indices have one colour
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(MaskDecoder(values_spec()).read(tmp_path / "m.png"), INDICES)


def test_palette_png_gives_its_colours_where_colours_are_the_coding(tmp_path):
    colors = [(60, 16, 152), (132, 41, 246), (110, 193, 228), (155, 155, 155)]
    image = Image.frombytes("P", INDICES.shape[::-1], INDICES.tobytes())
    image.putpalette([channel for color in colors for channel in color])
    image.save(tmp_path / "m.png")
    classes = [{"name": f"c{i}", "mask": [color]} for i, color in enumerate(colors[:3])]
    spec = values_spec(coding="colors", classes=classes, ignore=[colors[3]])
    np.testing.assert_array_equal(
        MaskDecoder(spec).read(tmp_path / "m.png"), np.where(INDICES == 3, 255, INDICES).astype(np.uint8)
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_png_of_any_depth(tmp_path, depth):
    indices = INDICES % 2 if depth == 1 else INDICES
    if depth == 16:
        cv2.imwrite(str(tmp_path / "m.png"), indices.astype(np.uint16))
    else:
        write_grey_png(tmp_path / "m.png", indices, depth)
    np.testing.assert_array_equal(MaskDecoder(values_spec()).read(tmp_path / "m.png"), indices)


def test_an_index_mask_saved_as_grey_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "m.png"), np.dstack([INDICES] * 3))
    np.testing.assert_array_equal(MaskDecoder(values_spec()).read(tmp_path / "m.png"), INDICES)


def test_a_coloured_mask_where_values_are_the_coding_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "m.png"), np.dstack([INDICES, INDICES * 2, INDICES]))
    with pytest.raises(RssegError, match=r"m\.png is not an index image"):
        MaskDecoder(values_spec()).read(tmp_path / "m.png")


def test_missing_pillow_names_the_install_command(tmp_path, monkeypatch):
    Image.frombytes("P", INDICES.shape[::-1], INDICES.tobytes()).save(tmp_path / "m.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UsageError, match=r"pip install 'rsseg-edge\[eval\]'"):
        MaskDecoder(values_spec()).read(tmp_path / "m.png")


def test_a_mask_stays_with_its_image_when_the_camera_was_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(np.zeros((8, 20, 3), np.uint8)).save(tmp_path / "i.jpg", exif=exif)
    assert read_image(tmp_path / "i.jpg").shape == (8, 20, 3)


def write_grey_png(path, indices, depth):
    """A grey PNG of 1, 2, 4 or 8 bits a pixel: no library at hand writes 2 and 4."""
    import struct
    import zlib

    height, width = indices.shape
    rows = b""
    for row in indices:
        bits = "".join(f"{value:0{depth}b}" for value in row)
        bits += "0" * (-len(bits) % 8)
        rows += b"\0" + bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
