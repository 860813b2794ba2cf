"""The account as one page that needs nothing beside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

from rsseg_edge.calibration.pictures import jpeg
from rsseg_edge.types import UInt8Array

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 1320px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd }
table { border-collapse: collapse } td, th { padding: .2em .8em .2em 0; text-align: left; vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums } th { border-bottom: 1px solid #999 }
tr:nth-child(even) td { background: #f6f6f6 } img { max-width: 100%; display: block } code { font-size: .92em }
details { margin: .6em 0 } summary { cursor: pointer } figcaption { color: #555; margin-bottom: 1em }
"""


def to_html(report: Mapping[str, Any], pareto: bytes, worst: Sequence[tuple[float, UInt8Array]]) -> str:
    """``report.html``.

    Args:
        report: see :func:`rsseg_edge.calibration.report.account`.
        pareto: PNG of speed against accuracy.
        worst: agreement and picture of views.
    """
    times = report["milliseconds"]
    ratio = times["parent in fp32"] / times["int8"]
    parts = [
        f"<h1>{_e(report['bundle'])} in int8 for {_e(report['target'])}</h1>",
        f"<p>{100 * report['agreement']:.2f} % of the pixels get the class that the fp32 parent gives, on images that "
        f"were not calibrated on. {_drop(report)} On {_e(report['machine']['processor'])} "
        f"({_vnni(report['machine']['vnni'])}) it takes {times['int8']:.0f} ms a view where fp32 takes "
        f"{times['parent in fp32']:.0f}: {ratio:.2f} times as fast.</p>",
        _pairs(
            {
                "calibration": report["calibration"],
                "activations": report["activations"],
                "weights": report["weights"],
                "ranges by": f"{report['method']} (of "
                + ", ".join(f"{name} {error:.2g}" for name, error in report["error_by_method"].items())
                + ": mean error of the probabilities)",
                "smoothed LayerNorms": report["smoothed_layer_norms"],
                "nodes in int8": sum(map(len, report["quantized"].values())),
                "ONNX Runtime": report["machine"]["onnxruntime"],
            }
        ),
        "<h2>Accuracy</h2>",
        _classes(report["accuracy"]),
        "<h2>Speed against accuracy</h2>",
        f'<img alt="speed against accuracy" src="{_data(pareto, "png")}">',
        _table(("alternative", "ms a view"), [(name, f"{value:.1f}") for name, value in times.items()]),
        "<h2>What changed its class</h2>",
        _table(
            ("parent", "int8", "% of pixels"),
            [(m["parent"], m["int8"], f"{100 * m['share']:.3f}") for m in report["confusion_moved"][:20]],
        ),
        "<h2>Where it differs most</h2>",
        *(
            f'<figure><img alt="input, parent, int8, difference" src="{_data(jpeg(image), "jpeg")}"><figcaption>'
            f"{100 * share:.2f} % agree: input, fp32, int8, difference</figcaption></figure>"
            for share, image in worst
        ),
        "<h2>What was kept higher, and why</h2>",
        _table(("node", "reason"), list(report["kept_higher"].items())),
        "<p>Softmax, LayerNorm, products of two activations, positions and our own operators are never integers.</p>",
        "<h2>Each block alone in int8</h2>",
        _table(
            ("block", "agreement, %", "error of probabilities"),
            [
                (block, f"{100 * row['agreement']:.2f}", f"{row['error']:.2g}")
                for block, row in sorted(report["sensitivity"].items(), key=lambda item: -item[1]["error"])
            ],
        ),
        "<h2>Ranges</h2>",
        *(
            f"<details><summary>{_e(graph)}: {len(tensors)} tensors</summary>{_ranges(tensors)}</details>"
            for graph, tensors in report["ranges"].items()
        ),
    ]
    title = f"{report['bundle']} in int8"
    head = f'<meta charset="utf-8"><title>{_e(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _e(text: Any) -> str:
    return html.escape(str(text))


def _data(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _vnni(known: bool | None) -> str:
    return {True: "with VNNI", False: "without VNNI", None: "VNNI unknown"}[known]


def _drop(report: Mapping[str, Any]) -> str:
    if report["accuracy"] is None:
        return "There were no labels: mIoU was not measured."
    parent, child = report["accuracy"]["parent"]["miou"], report["accuracy"]["int8"]["miou"]
    return f"mIoU is {100 * child:.2f} % after {100 * parent:.2f} % in fp32."


def _classes(accuracy: Mapping[str, Any] | None) -> str:
    if accuracy is None:
        return "<p>Not measured: no labelled data was given.</p>"
    parent, child = accuracy["parent"], accuracy["int8"]
    rows = [(name, parent["iou"][name], child["iou"][name]) for name in parent["iou"]]
    rows.append(("mean", parent["miou"], child["miou"]))
    rows.append(("overall accuracy", parent["overall_accuracy"], child["overall_accuracy"]))
    return _table(
        ("class", "fp32, IoU %", "int8, IoU %", "difference"),
        [
            (name, _percent(a), _percent(b), "-" if a is None or b is None else f"{100 * (b - a):+.2f}")
            for name, a, b in rows
        ],
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _ranges(tensors: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (name, *(f"{row[key]:.4g}" for key in ("least", "greatest", "low", "high")))
        if row.get("finite", True)
        else (name, "not finite", "", "", "")
        for name, row in tensors.items()
    ]
    return _table(("tensor", "least seen", "greatest seen", "low", "high"), rows)


def _pairs(rows: Mapping[str, Any]) -> str:
    cells = "".join(f"<tr><td>{_e(name)}</td><td>{_e(value)}</td></tr>" for name, value in rows.items())
    return f"<table>{cells}</table>"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The first columns are words; those whose cells are numbers are set to the right."""
    numbers = [all(_is_number(row[i]) for row in rows) and bool(rows) for i in range(len(head))]
    kind = [' class="n"' if number else "" for number in numbers]
    top = "".join(f"<th{k}>{_e(cell)}</th>" for k, cell in zip(kind, head, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{_e(cell)}</td>" for k, cell in zip(kind, row, strict=True)) + "</tr>" for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return bool(cell == "-")
    return True
