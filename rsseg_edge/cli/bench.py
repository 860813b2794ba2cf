"""``rsseg-bench``: how fast a bundle runs on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from rsseg_edge.cli import EngineChoice, PrecisionChoice, run_app, say
from rsseg_edge.errors import UsageError

if TYPE_CHECKING:
    from rsseg_edge.bench.run import Measured
    from rsseg_edge.variants import PrecisionName

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL...", help="Shipped bundles by name, or folders.  [default: segclip-tiny]"),
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Video to run on.  [default: a generated flight, 1280x720]")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Longest side that the network sees, pixels.  [default: the bundle's]")
    ] = None,
    precision: Annotated[
        list[PrecisionChoice] | None,
        typer.Option(help="Of the network; repeatable: they are measured in turn.  [default: what rsseg-run takes]"),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores for the network.  [default: all but one]")] = None,
    engine: Annotated[EngineChoice, typer.Option(help="What runs the network.")] = EngineChoice.auto,
    frames: Annotated[int, typer.Option(min=10, help="Frames that each measurement takes at most.")] = 150,
    compare: Annotated[
        bool, typer.Option("--compare", help="The graph through ONNX Runtime's operators, OpenVINO and PyTorch too.")
    ] = False,
    roofline: Annotated[
        str | None, typer.Option(metavar="BOARD", help="Predict the bound on a board, for instance 'orin nano'.")
    ] = None,
    power: Annotated[
        bool, typer.Option("--power", help="Power and energy a frame, where something here tells it.")
    ] = False,
    data: Annotated[str | None, typer.Option(help="Labelled data set: accuracy beside speed.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder that it was unpacked in.")] = None,
    report: Annotated[
        list[Path] | None, typer.Option(help="Write a page (.html), Markdown (.md) or JSON (.json); repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Measure each stage alone (infer is the network), and the whole pipeline on the same video.

    "alone" runs nothing beside it; stages take turns, in five processes one after the other. "±" is how far the median
    may be off. "core ms" adds up all cores. The last line is the rate of the whole pipeline by the slowest stage's
    alone. --json gives an object for one measurement, a list for several.
    """
    from rsseg_edge.bench.accuracy import with_accuracy
    from rsseg_edge.bench.report import to_json
    from rsseg_edge.bench.roofline import find_board
    from rsseg_edge.bench.run import measure
    from rsseg_edge.bench.whole import Settings
    from rsseg_edge.segmenter import open_in_precision

    board = find_board(roofline) if roofline else None
    _check_reports(report or [])
    names = models or ["segclip-tiny"]
    wanted: list[PrecisionName | None] = list(dict.fromkeys(p.value for p in precision)) if precision else [None]
    for model in names:  # before the first of them takes minutes
        for one in wanted:
            open_in_precision(model, one, engine.value)
    measurements = []
    with TemporaryDirectory(prefix="rsseg-bench-") as folder:
        if video is None:
            video = Path(folder) / "flight.mp4"
            say("making a video to run on ...")
            _generate(video, frames)
        settings = Settings(
            video,
            long_side=size,
            threads=threads,
            frames=frames,
            engine=engine.value,
            power=power,
            compare=compare,
            board=board,
        )
        for model in names:
            say(f"measuring {model} ...")
            found = measure(model, settings, wanted, say)
            if data is not None:
                say(f"measuring the accuracy of {model} on {data} ...")
                found = [with_accuracy(m, model, data, root, settings) for m in found]
            measurements += found
            for path in report or []:
                _write(measurements, path)  # after each: an interrupt loses the model at hand alone
            if not as_json:
                for measured in found:
                    _print(measured)
    if as_json:
        objects = [to_json(measured) for measured in measurements]
        print(json.dumps(objects[0] if len(objects) == 1 else objects, ensure_ascii=False))
    elif len(measurements) > 1:
        _print_overview(measurements)
    for path in report or []:
        say(f"-> {path}")


def _check_reports(paths: list[Path]) -> None:
    for path in paths:
        if path.suffix not in {".html", ".md", ".json"}:
            raise UsageError(f"--report {path}: a name that ends in .html, .md or .json says which it is")


def _write(measurements: list[Measured], path: Path) -> None:
    from rsseg_edge.bench.report import write_report

    write_report(measurements, path)


def _generate(path: Path, frames: int) -> None:
    from rsseg_edge.bench.clip import write_clip
    from rsseg_edge.datasets.scenes import generate_clip

    write_clip(path, (sample.image for sample in generate_clip(0, frames, 720, 1280)))


def _print_overview(measurements: list[Measured]) -> None:
    from rich.console import Console
    from rich.table import Table

    from rsseg_edge.bench.report import overview

    head, rows = overview(measurements)
    table = Table(*head, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _print(measured: Measured) -> None:
    import numpy as np
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from rsseg_edge.bench.contestants import OURS

    console = Console()
    about = Table.grid(padding=(0, 2))
    for key, value in measured.about.items():
        about.add_row(f"[dim]{key}[/]", escape(value))
    console.print(about)
    columns = ("median", "±", "p90", "p99", "core")
    table = Table("alone", *(f"{name} [dim]ms[/]" for name in columns), "frames/s", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, timing in measured.alone.items():
        quantiles = [timing.quantile(0.5), timing.spread, timing.quantile(0.9), timing.quantile(0.99), timing.cpu]
        table.add_row(name, *(f"{1e3 * seconds:.1f}" for seconds in quantiles), f"{timing.rate:.1f}")
    together = f"{measured.together:.1f} ± {measured.together_spread:.1f}"
    table.add_row("[bold]together[/]", "", "", "", "", f"{1e3 * measured.together_cpu:.1f}", together)
    console.print(table)
    if measured.beside:
        beside = measured.beside
        console.print(f"infer by {beside.other}'s: [bold]{beside.ratio:.2f}[/] ± {beside.spread:.2f}")
    console.print(f"together / slowest alone: [bold]{measured.overlap:.2f}[/]")
    console.print(
        f"[dim]loaded in {measured.load:.2f} s, first frame {1e3 * measured.first_frame:.0f} ms, "
        f"{measured.memory / 1e6:.0f} MB at most[/]"
    )
    if measured.power:
        joules = measured.power.joules(measured.frames)
        figures = f"{measured.power.watts:.1f} W, {joules:.3f} J a frame, " if joules is not None else ""
        console.print(f"power: {figures}{escape(measured.power.source)}")
    if measured.contest:
        for name, wall in measured.contest.wall.items():
            by_ours = (
                ""
                if name == OURS
                else f"{measured.contest.ratio(name):.2f} ± {measured.contest.ratio_spread(name):.2f}"
            )
            ratio = by_ours and f", {by_ours} of ours"
            console.print(f"{name}: {1e3 * float(np.median(wall)):.1f} ms{ratio}")
        for name, why in measured.contest.absent.items():
            console.print(f"[dim]{escape(name)}: {escape(why)}[/]")
    if roof := measured.roofline:
        console.print(f"predicted on {roof.board.name}: {1e3 * roof.total:.2f} ms at the least")
    if measured.accuracy:
        console.print("accuracy, %: " + ", ".join(f"{escape(k)} {v:.1f}" for k, v in measured.accuracy.items()))


def main() -> None:
    """Entry point of ``rsseg-bench``."""
    run_app(app)
