"""A measurement as JSON, as Markdown, and as a page that is one file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from rsseg_edge.bench import figures
from rsseg_edge.bench.contention import BUSY
from rsseg_edge.bench.contestants import OURS
from rsseg_edge.bench.run import Measured
from rsseg_edge.bench.timing import Timing
from rsseg_edge.sinks.part_file import PartFile, named_errors

COLUMNS = ("median", "± median", "p90", "p99", "jitter", "core", "frames/s")
STYLE = Path(__file__).with_name("report.css")


def to_json(measured: Measured) -> dict[str, Any]:
    """Every figure, times in milliseconds unless named otherwise."""
    found: dict[str, Any] = {
        "about": measured.about,
        "precision": measured.precision,
        "alone": {name: _timing(timing) for name, timing in measured.alone.items()},
        "together": {
            "frames": measured.frames,
            "frames_per_second": round(measured.together, 2),
            "spread": round(measured.together_spread, 2),
            "core_ms": round(1e3 * measured.together_cpu, 3),
            "by_slowest_alone": round(measured.overlap, 3),
        },
        "load_ms": round(1e3 * measured.load, 1),
        "first_frame_ms": round(1e3 * measured.first_frame, 1),
        "peak_memory_mb": None if math.isnan(measured.memory) else round(measured.memory / 1e6, 1),
    }
    if beside := measured.beside:
        found["infer_by"] = {
            "precision": beside.other,
            "ratio": round(beside.ratio, 3),
            "spread": round(beside.spread, 3),
        }
    if power := measured.power:
        joules = power.joules(measured.frames)
        found["power"] = {
            "watts": None if power.watts is None else round(power.watts, 2),
            "joules_per_frame": None if joules is None else round(joules, 4),
            "source": power.source,
        }
    if contest := measured.contest:
        found["contest"] = {
            "median_ms": {name: round(1e3 * float(np.median(w)), 3) for name, w in contest.wall.items()},
            "by_ours": {name: round(contest.ratio(name), 3) for name in contest.wall if name != OURS},
            "spread_of_by_ours": {n: round(contest.ratio_spread(n), 3) for n in contest.wall if n != OURS},
            "absent": dict(contest.absent),
        }
    if roof := measured.roofline:
        found["predicted"] = {
            "board": roof.board.name,
            "gflop": round(sum(op.flops for op in roof.operations) / 1e9, 3),
            "megabytes": round(sum(op.bytes for op in roof.operations) / 1e6, 1),
            "ms_operation_by_operation": round(1e3 * roof.total, 4),
            "ms_arithmetic_alone": round(1e3 * roof.fused, 4),
        }
    if measured.accuracy is not None:
        found["accuracy_percent"] = measured.accuracy
    return found


def to_markdown(measurements: Sequence[Measured]) -> str:
    """A table of all, where there are several, and a section for each."""
    sections = [_section_markdown(m) for m in measurements]
    tables = [overview(measurements)] if len(measurements) > 1 else []
    if tables and any(m.contest for m in measurements):
        tables.append(contests(measurements))
    for head, rows in reversed(tables):
        lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
        sections.insert(0, "\n".join(lines) + "\n")
    return "\n".join(sections)


def write_report(measurements: Sequence[Measured], path: Path) -> None:
    """Write what a file's suffix asks for: ``.json``, ``.md``, or a page that needs no other file and no network.

    Raises:
        RssegError: it cannot be written.
    """
    if path.suffix == ".json":
        text = json.dumps([to_json(m) for m in measurements], indent=2, ensure_ascii=False) + "\n"
    else:
        text = to_markdown(measurements) if path.suffix == ".md" else to_html(measurements)
    part = PartFile(path)
    try:
        with named_errors(path):
            part.file.write(text.encode())
        part.publish()
    except BaseException:
        part.discard()
        raise


def to_html(measurements: Sequence[Measured]) -> str:
    """The page."""
    sections = "".join(_section_html(m) for m in measurements)
    summary = ""
    if len(measurements) > 1:
        summary = _table(*overview(measurements))
        if any(m.contest for m in measurements):
            head, rows = contests(measurements)
            summary += f"<h3>The networks' graphs in other runtimes: time by ours</h3>{_table(head, rows)}"
    names = ", ".join(m.about["model"] for m in measurements)
    stamp = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>rsseg-bench: {escape(names)}</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
        f"<main><h1>rsseg-bench</h1><p class=quiet>{stamp}</p>{summary}{sections}"
        "<p class=quiet>Times of a stage alone: nothing of ours runs beside it. &plusmn; is half the range of the "
        "medians of five sittings, processes of their own, 1 % at the least; where other processes kept the "
        "cores busy it reaches as far as what the processor time would allow without them. Core is the processor time "
        "of all cores. "
        "What is marked predicted was not measured.</p></main></html>"
    )


def overview(measurements: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table with a line for each measurement; columns that none of them fills are left out."""
    head = ("model", "frames/s", "infer ms", "p99 ms", "infer by", "memory MB", "mIoU %")
    rows = [_overview_row(m) for m in measurements]
    shown = [column for column in range(len(head)) if any(row[column] != "-" for row in rows)]
    return [head[column] for column in shown], [[row[column] for column in shown] for row in rows]


def _overview_row(m: Measured) -> tuple[str, ...]:
    infer, beside = m.alone["infer"], m.beside
    return (
        m.about["model"],
        f"{m.together:.1f} ± {m.together_spread:.1f}",
        f"{1e3 * infer.quantile(0.5):.1f} ± {1e3 * infer.spread:.1f}",
        f"{1e3 * infer.quantile(0.99):.1f}",
        f"{beside.ratio:.2f} ± {beside.spread:.2f} of {beside.other}'s" if beside else "-",
        "-" if math.isnan(m.memory) else f"{m.memory / 1e6:.0f}",
        f"{m.accuracy['mIoU']:.1f}" if m.accuracy else "-",
    )


def contests(measurements: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table with a column for each runtime: our time, and that of the others by ours."""
    found = [m.contest for m in measurements if m.contest]
    names = list(dict.fromkeys(name for contest in found for name in (*contest.wall, *contest.absent) if name != OURS))

    def row(m: Measured) -> list[str]:
        cells = [m.about["model"], "-", *("-" for _ in names)]
        if m.contest:
            cells[1] = f"{1e3 * float(np.median(m.contest.wall[OURS])):.1f} ms"
            for column, name in enumerate(names, 2):
                if name in m.contest.wall:
                    cells[column] = f"{m.contest.ratio(name):.2f} ± {m.contest.ratio_spread(name):.2f}"
        return cells

    return ["model", OURS, *names], [row(m) for m in measurements]


def _section_html(m: Measured) -> str:
    slowest = max(m.alone, key=lambda name: m.alone[name].quantile(0.5))
    memory = "" if math.isnan(m.memory) else f"{m.memory / 1e6:.0f} MB"
    cards = {
        "frames a second": f"{m.together:.1f} ± {m.together_spread:.1f}",
        "network, median": f"{1e3 * m.alone['infer'].quantile(0.5):.1f} ms",
        "network, p99": f"{1e3 * m.alone['infer'].quantile(0.99):.1f} ms",
        "of the slowest stage's rate": f"{100 * m.overlap:.0f} %",
        "memory, at most": memory,
        "to load": f"{m.load:.2f} s",
        "first frame": f"{1e3 * m.first_frame:.0f} ms",
    }
    if m.beside:
        cards[f"of the time in {m.beside.other}"] = f"{m.beside.ratio:.2f} ± {m.beside.spread:.2f}"
    if m.accuracy:
        cards["mIoU"] = f"{m.accuracy['mIoU']:.1f} %"
    if m.power and m.power.watts is not None:
        cards["power"] = f"{m.power.watts:.1f} W"
        cards["a frame"] = f"{m.power.joules(m.frames):.2f} J"
    grid = "".join(f"<div><b>{escape(v)}</b><span>{escape(k)}</span></div>" for k, v in cards.items() if v)
    about = "".join(f"<tr><th>{escape(k)}<td>{escape(v)}" for k, v in m.about.items() if k != "model")
    others = m.about.get("other processes", "")
    busy = f"<p class=warn>Other processes took {escape(others)}.</p>" if BUSY in others else ""
    parts = [
        f"<h2>{escape(m.about['model'])}</h2>{busy}<div class=cards>{grid}</div><table class=about>{about}</table>",
        f"<h3>Stages alone</h3>{_table(('stage, ms', *COLUMNS), _rows(m))}",
        f"<h3>{slowest}: how long a frame takes</h3>{figures.histogram(m.alone[slowest].wall, slowest)}",
        f"<h3>All stages together</h3>{figures.timeline(m.timeline)}",
    ]
    if m.contest:
        absent = "".join(f"<li>{escape(name)}: {escape(why)}" for name, why in m.contest.absent.items())
        parts.append(
            f"<h3>The network's graph in other runtimes</h3>{figures.bars(m.contest)}"
            f"<p class=quiet>In turn on one input; median of rounds, and of the ratio to ours. PyTorch with random "
            f"weights.</p>" + (f"<ul class=quiet>{absent}</ul>" if absent else "")
        )
    if m.roofline:
        roof = m.roofline
        parts.append(
            f"<h3>Predicted on {escape(roof.board.name)}</h3><p>Not measured: the data sheet allows the graph in "
            f"{m.precision} <b>{1e3 * roof.total:.2f} ms</b> operation by operation (our operators by the launches of "
            f"their plugins), {1e3 * roof.fused:.2f} ms if memory cost nothing.</p>{figures.roofline(roof)}"
        )
    if m.accuracy:
        parts.append(f"<h3>Accuracy, %</h3>{_table(tuple(m.accuracy), [[f'{v:.1f}' for v in m.accuracy.values()]])}")
    if m.power and m.power.watts is None:
        parts.append(f"<p class=quiet>Power: {escape(m.power.source)}.</p>")
    return f"<section>{''.join(parts)}</section>"


def _section_markdown(m: Measured) -> str:
    lines = [f"## {m.about['model']}", ""]
    lines += [f"- {key}: {value}" for key, value in m.about.items() if key != "model"]
    lines += ["", f"| stage, ms | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    lines += [f"| {' | '.join(row)} |" for row in _rows(m)]
    lines += [
        "",
        f"Together {m.together:.1f} ± {m.together_spread:.1f} frames/s, {m.overlap:.2f} of the slowest stage alone.",
    ]
    lines += [f"Loaded in {m.load:.2f} s, first frame {1e3 * m.first_frame:.0f} ms, at most {m.memory / 1e6:.0f} MB."]
    if m.beside:
        lines.append(f"infer takes {m.beside.ratio:.2f} ± {m.beside.spread:.2f} of the time in {m.beside.other}.")
    if m.power:
        joules = m.power.joules(m.frames)
        figure = f"{m.power.watts:.1f} W, {joules:.2f} J a frame; " if joules is not None else ""
        lines.append(f"Power: {figure}{m.power.source}.")
    if m.contest:
        lines += ["", "| runtime | median ms | by ours |", "|---|---|---|"]
        for name, wall in m.contest.wall.items():
            ratio = "1" if name == OURS else f"{m.contest.ratio(name):.2f} ± {m.contest.ratio_spread(name):.2f}"
            lines.append(f"| {name} | {1e3 * float(np.median(wall)):.1f} | {ratio} |")
        lines += [f"| {name} | - | {why} |" for name, why in m.contest.absent.items()]
    if m.roofline:
        lines += ["", f"Predicted on {m.roofline.board.name}: {1e3 * m.roofline.total:.2f} ms at the least."]
    if m.accuracy:
        lines += ["", "Accuracy, %: " + ", ".join(f"{k} {v:.1f}" for k, v in m.accuracy.items())]
    return "\n".join(lines) + "\n"


def _rows(m: Measured) -> list[tuple[str, ...]]:
    return [(name, *_cells(timing)) for name, timing in m.alone.items()]


def _cells(timing: Timing) -> tuple[str, ...]:
    ms = (timing.quantile(0.5), timing.spread, timing.quantile(0.9), timing.quantile(0.99), timing.jitter, timing.cpu)
    return (*(f"{1e3 * value:.1f}" for value in ms), f"{timing.rate:.1f}")


def _timing(timing: Timing) -> dict[str, float]:
    return {
        "median_ms": round(1e3 * timing.quantile(0.5), 3),
        "spread_ms": round(1e3 * timing.spread, 3),
        "p90_ms": round(1e3 * timing.quantile(0.9), 3),
        "p99_ms": round(1e3 * timing.quantile(0.99), 3),
        "jitter_ms": round(1e3 * timing.jitter, 3),
        "core_ms": round(1e3 * timing.cpu, 3),
        "frames_per_second": round(timing.rate, 2),
        "frames": len(timing.wall),
    }


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows)
    return f"<div class=scroll><table><thead><tr>{top}<tbody>{body}</table></div>"
