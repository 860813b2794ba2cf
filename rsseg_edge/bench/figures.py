"""Plots of a measurement as SVG, drawn in the colours of the page that they stand in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from rsseg_edge.bench.contestants import OURS, Contest
from rsseg_edge.bench.operations import Operation
from rsseg_edge.bench.roofline import Roofline, peak

Floats = npt.NDArray[np.float64]
WIDTH = 640
STAGES = ("decode", "prepare", "infer", "finish", "write")


def histogram(wall: Floats, label: str) -> str:
    """How many frames took how long, with the median and the 99th percentile marked.

    Args:
        wall: seconds a frame, float64 [frames].
        label: what was timed.
    """
    ms = 1e3 * wall
    low, high = float(ms.min()), float(np.quantile(ms, 0.995))
    high = max(high, low + 0.1)
    counts, edges = np.histogram(np.clip(ms, low, high), 36, (low, high))
    left, bottom, height = 40.0, 150.0, 106.0  # labels stand above the bars
    scale = (WIDTH - left - 16) / (high - low)
    bars = "".join(
        f'<rect class="bar" x="{left + (e - low) * scale:.1f}" y="{bottom - height * c / counts.max():.1f}" '
        f'width="{max(1.0, (edges[1] - edges[0]) * scale - 1):.1f}" height="{height * c / counts.max():.1f}"/>'
        for c, e in zip(counts, edges[:-1], strict=True)
    )
    marks = ""
    for row, (name, q) in enumerate((("median", 0.5), ("p99", 0.99))):
        value = float(np.quantile(ms, q))
        x = left + (min(value, high) - low) * scale
        end = x > WIDTH - 110
        marks += (
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="12" y2="{bottom}"/>'
            f'<text class="label" x="{x + (-4 if end else 4):.1f}" y="{22 + 16 * row}" '
            f'text-anchor="{"end" if end else "start"}">{name} {value:.1f} ms</text>'
        )
    return _svg(184, bars + marks + _axis(left, bottom, low, high, scale, "ms a frame"), f"Histogram of {label}")


def timeline(stages: Mapping[str, Floats], frames: int = 12) -> str:
    """What every stage did when, over some frames in the middle of the run.

    Args:
        stages: beginning and length in seconds, float64 [frames, 2], by stage.
        frames: how many are shown.
    """
    count = min(len(rows) for rows in stages.values())
    first = max(0, count // 2 - frames // 2)
    shown = {name: rows[first : first + frames] for name, rows in stages.items()}
    begin = min(float(rows[0, 0]) for rows in shown.values())
    end = max(float(rows[-1].sum()) for rows in shown.values())
    left, row_height = 64.0, 26.0
    scale = (WIDTH - left - 16) / (end - begin)
    parts = ""
    for row, (name, rows) in enumerate(shown.items()):
        y = 8 + row * row_height
        parts += f'<text class="label" x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
        for number, (at, length) in enumerate(rows):
            parts += (
                f'<rect class="frame{number % 3}" x="{left + (at - begin) * scale:.2f}" y="{y}" '
                f'width="{max(0.8, length * scale):.2f}" height="{row_height - 8}" rx="2">'
                f"<title>frame {first + number}: {name} {1e3 * length:.1f} ms</title></rect>"
            )
    bottom = 8 + len(shown) * row_height
    axis = _axis(left, bottom, 0, 1e3 * (end - begin), scale / 1e3, "ms; a colour is a frame")
    return _svg(bottom + 34, parts + axis, "Timeline of the stages")


def bars(contest: Contest) -> str:
    """Median time of every contestant, and its ratio to ours."""
    medians = {name: 1e3 * float(np.median(wall)) for name, wall in contest.wall.items()}
    left, row_height = 240.0, 28.0
    scale = (WIDTH - left - 170) / max(medians.values())
    parts = ""
    for row, (name, ms) in enumerate(medians.items()):
        y = 6 + row * row_height
        ratio = "" if name == OURS else f"  ({contest.ratio(name):.2f} ± {contest.ratio_spread(name):.2f} x)"
        parts += (
            f'<text class="label" x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="{"bar" if name == OURS else "other"}" x="{left}" y="{y}" width="{ms * scale:.1f}" '
            f'height="{row_height - 8}" rx="2"/>'
            f'<text class="label" x="{left + ms * scale + 6:.1f}" y="{y + 15}">{ms:.1f} ms{ratio}</text>'
        )
    return _svg(12 + len(medians) * row_height, parts, "Runtimes side by side")


def roofline(found: Roofline) -> str:
    """Every operation under the board's roof, by its operations a byte; areas are shares of the predicted time."""
    left, top, bottom = 56.0, 12.0, 250.0
    counted = [op.intensity for op in found.operations if op.flops > 0 and op.bytes > 0]
    low_x = float(np.clip(math.floor(math.log10(min(counted, default=1.0))), -5, -2))
    high_x, board = 4.0, found.board
    rates = {peak(board, op.matrix, op.width): _ceiling(op) for op in found.operations}
    roof = math.log10(max(rates) / 1e9)
    low_y = math.floor(min(roof - 3, low_x + math.log10(board.bandwidth)))

    def place(intensity: float, rate: float) -> tuple[float, float]:
        x = left + (math.log10(max(intensity, 1e-9)) - low_x) / (high_x - low_x) * (WIDTH - left - 16)
        y = bottom - (math.log10(max(rate, 1e-9)) - low_y) / (roof + 0.3 - low_y) * (bottom - top)
        return min(max(x, left), WIDTH - 16), min(max(y, top), bottom)

    lines = ""
    for rate, name in rates.items():
        ceiling = rate / 1e9
        points = [place(10**e, min(10**e * board.bandwidth, ceiling)) for e in np.linspace(low_x, high_x, 120)]
        lines += f'<polyline class="roof" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
        x, y = place(10**high_x, ceiling)
        lines += (
            f'<text class="label" x="{x}" y="{y - 4:.1f}" text-anchor="end">{name}, {ceiling / 1e3:.3g} TFLOP/s</text>'
        )
    dots = ""
    for operation, seconds in zip(found.operations, found.seconds, strict=True):
        if operation.flops <= 0 or operation.bytes <= 0:  # it moves, or it is part of the one before
            continue
        x, y = place(operation.intensity, operation.flops / seconds / 1e9)
        radius = 2 + 14 * math.sqrt(seconds / found.total)
        dots += (
            f'<circle class="{"dot" if operation.matrix else "dot2"}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
            f"<title>{escape(operation.kind)} {escape(operation.name)}: {1e6 * seconds:.1f} us</title></circle>"
        )
    exponents = range(int(low_x), int(high_x) + 1)
    anchors = ["middle"] * (len(exponents) - 1) + ["end"]
    ticks = "".join(
        f'<text class="label" x="{place(10.0**e, 1)[0]:.1f}" y="{bottom + 16}" text-anchor="{a}">{10.0**e:g}</text>'
        for e, a in zip(exponents, anchors, strict=True)
    )
    ticks += "".join(
        f'<text class="label" x="{left - 6}" y="{place(1, 10.0**e)[1] + 4:.1f}" text-anchor="end">{10.0**e:g}</text>'
        for e in range(low_y, math.floor(roof) + 1)
    )
    ticks += f'<text class="label" x="{left + 6}" y="{top + 8}">GFLOP/s</text>'
    axis = f'<line class="axis" x1="{left}" x2="{WIDTH - 16}" y1="{bottom}" y2="{bottom}"/>{ticks}'
    name = f'<text class="label" x="{WIDTH / 2}" y="{bottom + 32}" text-anchor="middle">operations a byte</text>'
    return _svg(bottom + 40, lines + dots + axis + name, f"Predicted roofline on {board.name}")


def _ceiling(operation: Operation) -> str:
    """What computes an operation."""
    if operation.matrix and operation.width <= 2:
        return f"tensor cores, {'FP16' if operation.width == 2 else 'INT8'}"
    return "other cores, FP32"


def _axis(left: float, bottom: float, low: float, high: float, scale: float, unit: str) -> str:
    step = 10 ** math.floor(math.log10(max(high - low, 1e-9) / 3))
    step = next(step * factor for factor in (1, 2, 5, 10, 20, 50) if (high - low) / (step * factor) <= 8)
    ticks: Sequence[float] = np.arange(math.ceil(low / step) * step, high + step / 1e6, step).tolist()
    texts = "".join(
        f'<text class="label" x="{left + (t - low) * scale:.1f}" y="{bottom + 15}" text-anchor="middle">{t:g}</text>'
        for t in ticks
    )
    return (
        f'<line class="axis" x1="{left}" x2="{WIDTH - 16}" y1="{bottom}" y2="{bottom}"/>{texts}'
        f'<text class="label" x="{WIDTH - 16}" y="{bottom + 30}" text-anchor="end">{escape(unit)}</text>'
    )


def _svg(height: float, content: str, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{content}</svg>"
    )
