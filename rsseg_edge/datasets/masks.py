"""Read images, and turn masks of either coding into labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rsseg_edge.datasets.sample import IGNORE
from rsseg_edge.datasets.table import DatasetSpec
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.types import UInt8Array

# A label that no data set has: at most 254 classes, 0..253.
_UNKNOWN = 254
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_GREY, _PNG_PALETTE = 0, 3


def read_image(path: Path) -> UInt8Array:
    """uint8 [H, W, 3] RGB of any image file, without the rotation that camera tags ask for (masks have no tags).

    Raises:
        RssegError: the file cannot be read or decoded.
    """
    # IMREAD_COLOR alone applies the EXIF orientation and the mask would no longer fit.
    bgr = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8)


def image_area(path: Path) -> int:
    """Pixels of an image file, from its header alone.

    Raises:
        RssegError: the file cannot be read, or is no image.
        UsageError: Pillow is not installed.
    """
    with _open_image(path, "its size is read without decoding it") as image:
        return int(image.width * image.height)


class MaskDecoder:
    """Turns the masks of one data set into labels, by one table look-up a pixel."""

    def __init__(self, spec: DatasetSpec) -> None:
        self._spec = spec
        self._lookup: UInt8Array | None = None

    def read(self, path: Path, *, labels: bool = False) -> UInt8Array:
        """uint8 [H, W]: class indices, and 255 where the mask is to be ignored.

        Args:
            path: of the mask.
            labels: its values are class indices already.

        Raises:
            RssegError: the file cannot be read, or holds a value or colour that is neither a class nor ignored.
        """
        colors = self._spec.coding == "colors" and not labels
        codes = self._color_codes(path) if colors else _read_values(path)
        found = (_label_table(len(self._spec.classes)) if labels else self._table()).take(codes)
        unknown = found == _UNKNOWN
        if unknown.any():
            y, x = np.unravel_index(int(unknown.argmax()), unknown.shape)
            code = int(codes[y, x])
            what = f"colour {_to_color(code)}" if colors else f"value {code}"
            raise RssegError(f"{path}: {what} at x={x}, y={y} is no class of data {self._spec.name}, nor ignored")
        return found

    def _table(self) -> UInt8Array:
        # Made late: it is 16 MiB for colours, and a pickled data set should not carry it to its workers.
        if self._lookup is None:
            colors = self._spec.coding == "colors"
            lookup = np.full(1 << 24 if colors else (1 << 16) + 1, _UNKNOWN, np.uint8)
            for label, codes in [(IGNORE, self._spec.ignore), *((i, c.mask) for i, c in enumerate(self._spec.classes))]:
                for code in codes:
                    lookup[_to_code(code)] = label
            self._lookup = lookup
        return self._lookup

    def __getstate__(self) -> dict[str, object]:
        return {"_spec": self._spec, "_lookup": None}

    @staticmethod
    def _color_codes(path: Path) -> npt.NDArray[np.int32]:
        # OpenCV turns a palette PNG into its colours, which is what this coding wants.
        bgr = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        blue, green, red = (bgr[..., channel].astype(np.int32) for channel in range(3))
        return (red << 16) | (green << 8) | blue


def _label_table(classes: int) -> UInt8Array:
    lookup = np.full((1 << 16) + 1, _UNKNOWN, np.uint8)
    lookup[:classes] = np.arange(classes)
    lookup[IGNORE] = IGNORE
    return lookup


def _read_values(path: Path) -> npt.NDArray[np.integer]:
    data = _read_bytes(path)
    is_png = data.startswith(_PNG) and len(data) > 25
    depth, kind = (data[24], data[25]) if is_png else (8, _PNG_GREY)
    if kind == _PNG_PALETTE:
        return _read_palette_indices(path)
    values = _decode(path, cv2.IMREAD_UNCHANGED)
    if values.ndim == 3 and values.shape[2] >= 3 and (values[..., :1] == values[..., :3]).all():
        values = values[..., 0]  # an index image that was saved as grey RGB
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.integer):
        raise RssegError(f'{path} is not an index image: {values.dtype} {list(values.shape)}; coding = "colors"?')
    # libpng stretches 1, 2 and 4 bits to 0..255; an index must come back as it was written.
    values = values // (255 // ((1 << depth) - 1)) if depth < 8 else values
    outside = 1 << 16  # the table's last place, which is never a class
    return (
        values
        if values.dtype.itemsize == 1
        else np.where(values < 0, outside, np.minimum(values.astype(np.int64), outside))
    )


def _read_palette_indices(path: Path) -> UInt8Array:
    with _open_image(path, "it is a palette PNG, and OpenCV turns its indices into colours") as image:
        return np.asarray(image, dtype=np.uint8)


@contextmanager
def _open_image(path: Path, reason: str) -> Iterator[Any]:
    """Pillow's image; it reads the header now and pixels when they are asked for."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise UsageError(f"{path}: {reason}: pip install 'rsseg-edge[eval]'") from None
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise RssegError(f"cannot decode {path}: {error}") from None


def _decode(path: Path, flags: int) -> npt.NDArray[np.integer]:
    try:
        image = cv2.imdecode(np.frombuffer(_read_bytes(path), np.uint8), flags)
    except cv2.error as error:
        raise RssegError(f"cannot decode {path}: {error.err}") from None
    if image is None:
        raise RssegError(f"cannot decode {path}: damaged, or not an image")
    return np.asarray(image)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RssegError(f"cannot read {path}: {error.strerror}") from None


def _to_code(code: tuple[int, int, int] | int) -> int:
    return code if isinstance(code, int) else (code[0] << 16) | (code[1] << 8) | code[2]


def _to_color(code: int) -> tuple[int, int, int]:
    return code >> 16, (code >> 8) & 255, code & 255
