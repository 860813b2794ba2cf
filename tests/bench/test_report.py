import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsseg_edge.bench.contestants import OURS, Contest
from rsseg_edge.bench.operations import Operation
from rsseg_edge.bench.power import Power
from rsseg_edge.bench.report import contests, overview, to_json, write_report
from rsseg_edge.bench.roofline import find_board, predict
from rsseg_edge.bench.run import Beside, Measured
from rsseg_edge.bench.timing import Timing

STAGES = ("decode", "prepare", "infer", "finish", "write")


@pytest.fixture
def measured() -> Measured:
    rng = np.random.default_rng(0)
    alone = {name: Timing((rng.uniform(0.01, 0.02, 60) * (i + 1),), 0.01) for i, name in enumerate(STAGES)}
    timeline = {
        name: np.column_stack((0.04 * np.arange(40) + 0.01 * i, np.full(40, 0.01))) for i, name in enumerate(STAGES)
    }
    operations = [Operation("a", "Conv", 2e9, 4e6, True, 2), Operation("b", "Erf", 8e6, 8e6, False, 2)]
    return Measured(
        about={"model": "bundle <one>, fp16", "machine": "a & b"},
        precision="fp16",
        alone=alone,
        together=20.0,
        together_cpu=0.08,
        timeline=timeline,
        load=0.5,
        first_frame=0.1,
        memory=4e8,
        power=Power(None, "not measured: no meter", 2.0),
        frames=40,
        contest=Contest({OURS: np.full(5, 0.02), "OpenVINO": np.full(5, 0.03)}, {"PyTorch eager": "not installed"}),
        roofline=predict(operations, find_board("h100")),
        accuracy={"mIoU": 61.25, "water": 80.0},
    )


def test_the_page_is_one_file_that_fetches_nothing_and_escapes_names(measured: Measured, tmp_path: Path):
    write_report([measured, measured], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert not re.findall(r"https?://|<script|src=|@import|url\(", page)
    assert "bundle &lt;one&gt;, fp16" in page
    assert "a &amp; b" in page
    for word in ("median", "Predicted on H100 SXM", "not measured: no meter", "PyTorch eager: not installed", "61.2"):
        assert word in page
    assert page.count("<svg") == page.count("</svg>") == 8


def test_a_busy_machine_is_told_above_the_figures(measured: Measured, tmp_path: Path):
    write_report([measured], tmp_path / "a.html")
    others = {"other processes": "1.20 cores on average: too busy for times to be quoted"}
    write_report([replace(measured, about=measured.about | others)], tmp_path / "b.html")
    quiet, busy = ((tmp_path / name).read_text() for name in ("a.html", "b.html"))
    assert "<p class=warn>" not in quiet
    assert busy.index("<p class=warn>Other processes took 1.20 cores") < busy.index("class=cards")


def test_json_has_the_figures(measured: Measured):
    found = to_json(measured)
    assert found["alone"]["infer"]["median_ms"] == pytest.approx(
        1e3 * np.median(measured.alone["infer"].wall), abs=1e-3
    )
    assert found["contest"]["by_ours"] == {"OpenVINO": 1.5}
    assert found["power"] == {"watts": None, "joules_per_frame": None, "source": "not measured: no meter"}
    assert found["predicted"]["board"] == "H100 SXM"
    assert found["accuracy_percent"]["mIoU"] == 61.25


@pytest.mark.parametrize("suffix", [".md", ".json"])
def test_the_suffix_chooses_the_form(measured: Measured, tmp_path: Path, suffix: str):
    path = tmp_path / f"report{suffix}"
    write_report([measured], path)
    text = path.read_text()
    assert json.loads(text)[0]["together"]["frames"] == 40 if suffix == ".json" else "| infer |" in text
    assert list(tmp_path.iterdir()) == [path]


def test_spread_is_half_the_range_of_the_sittings_medians():
    sittings = tuple(np.full(10, seconds) for seconds in (0.010, 0.011, 0.012, 0.011, 0.016))
    assert Timing(sittings, 0.0).spread == pytest.approx(0.003)


def test_the_pipelines_rate_has_a_spread(measured: Measured):
    assert measured.together_spread == pytest.approx(0.0, abs=0.5)  # a frame every 40 ms, but the first
    begins = np.cumsum(np.repeat([0.04, 0.05, 0.04, 0.04, 0.08], 10))
    slowing = replace(measured, timeline={"write": np.column_stack((begins, np.zeros(50)))})
    assert slowing.together_spread == pytest.approx((25 - 12.5) / 2)
    assert to_json(slowing)["together"]["spread"] == 6.25
    assert replace(slowing, undisturbed=30.0).together_spread == pytest.approx(30 - 20)  # others kept cores busy


@pytest.mark.parametrize("suffix", [".html", ".md"])
def test_runtimes_of_several_models_are_columns_of_one_table(measured: Measured, tmp_path: Path, suffix: str):
    both = [measured, replace(measured, about={"model": "other, fp32"}, contest=None)]
    head, rows = contests(both)
    assert head == ["model", OURS, "OpenVINO", "PyTorch eager"]
    assert rows == [["bundle <one>, fp16", "20.0 ms", "1.50 ± 0.01", "-"], ["other, fp32", "-", "-", "-"]]
    path = tmp_path / f"report{suffix}"
    write_report(both, path)
    assert "PyTorch eager" in path.read_text().split("Stages alone" if suffix == ".html" else "##")[0]


@pytest.mark.parametrize("suffix", [".html", ".md"])
def test_precisions_of_a_bundle_stand_in_one_table(measured: Measured, tmp_path: Path, suffix: str):
    int8 = {
        "about": {"model": "bundle <one>, int8", "machine": "a & b"},
        "precision": "int8",
        "beside": Beside("fp16", 0.61, 0.02),
        "accuracy": {"mIoU": 60.5},
    }
    both = [measured, replace(measured, **int8)]
    head, rows = overview(both)
    assert head == ["model", "frames/s", "infer ms", "p99 ms", "infer by", "memory MB", "mIoU %"]
    assert [row[0] for row in rows] == ["bundle <one>, fp16", "bundle <one>, int8"]
    assert [row[4] for row in rows] == ["-", "0.61 ± 0.02 of fp16's"]
    assert [row[6] for row in rows] == ["61.2", "60.5"]
    assert "mIoU %" not in overview([replace(m, accuracy=None) for m in both])[0]
    path = tmp_path / f"report{suffix}"
    write_report(both, path)
    assert path.read_text().count("0.61 ± 0.02") == 2  # in the table of all, and in its own section
    assert to_json(both[1])["infer_by"] == {"precision": "fp16", "ratio": 0.61, "spread": 0.02}
    assert "infer_by" not in to_json(measured)
