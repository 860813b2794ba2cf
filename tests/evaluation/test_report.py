import io
import json
import sys

import cv2
import numpy as np
import pytest
from rich.console import Console

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.evaluation.confusion import ConfusionMatrix
from rsseg_edge.evaluation.report import draw_png, to_json, to_table
from rsseg_edge.types import ClassTable


@pytest.fixture
def matrix():
    made = ConfusionMatrix(ClassTable(("field", "pond", "never"), ((0, 99, 0), (0, 0, 99), (9, 9, 9))))
    made.update(np.array([0, 0, 0, 1, 255], np.uint8), np.array([0, 0, 1, 1, 0], np.uint8))
    return made


def test_table_shows_percent_and_says_what_the_mean_leaves_out(matrix):
    console = Console(file=io.StringIO(), width=100)
    console.print(to_table(matrix, "model on data"))
    text = console.file.getvalue()
    field = next(line for line in text.splitlines() if "field" in line)
    assert [word for word in field.split() if word[0].isdigit()] == ["66.7", "80.0", "100.0", "66.7", "75.0"]
    assert "without never" in " ".join(text.split())
    assert "58.3" in text  # (2/3 + 1/2) / 2


def test_json_is_strict_and_holds_every_count(matrix):
    text = json.dumps(to_json(matrix, model="m"), allow_nan=False)
    report = json.loads(text)
    assert report["model"] == "m"
    assert report["iou"]["never"] is None
    assert report["miou"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert report["confusion"]["rows_are_labels"] == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert report["pixels"] == {"field": 3, "pond": 1, "never": 0}


def test_png_is_a_picture_and_leaves_no_part_behind(matrix, tmp_path):
    pytest.importorskip("matplotlib")
    draw_png(matrix, tmp_path / "m.png", "model on data")
    assert cv2.imread(str(tmp_path / "m.png")).std() > 5
    assert [p.name for p in tmp_path.iterdir()] == ["m.png"]


def test_png_that_cannot_be_written_is_one_line(matrix, tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(UsageError, match=r"cannot write .*none.m\.png"):
        draw_png(matrix, tmp_path / "none" / "m.png", "")


def test_a_disk_that_fills_up_leaves_no_half_picture(matrix, tmp_path, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure")

    def full(self, path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure.Figure, "savefig", full)
    with pytest.raises(RssegError, match="No space left on device"):
        draw_png(matrix, tmp_path / "m.png", "")
    assert not list(tmp_path.iterdir())


def test_missing_matplotlib_names_the_install_command(matrix, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'rsseg-edge\[eval\]'"):
        draw_png(matrix, tmp_path / "m.png", "")
