"""``rsseg-bench``: how fast a bundle runs on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from rsseg_edge.cli import EngineChoice, run_app, say

if TYPE_CHECKING:
    from rsseg_edge.bench.run import Measured

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def bench(
    model: Annotated[str, typer.Argument(help="Shipped bundle by name, or any bundle's folder.")],
    video: Annotated[
        Path | None, typer.Option(help="Video to run on.  [default: a generated flight, 1280x720]")
    ] = None,
    long_side: Annotated[
        int | None, typer.Option(help="Longest side that the network sees, pixels.  [default: the bundle's]")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores for the network.  [default: all but one]")] = None,
    engine: Annotated[EngineChoice, typer.Option(help="What runs the network.")] = EngineChoice.auto,
    frames: Annotated[int, typer.Option(min=30, help="Frames that each measurement takes.")] = 150,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Measure the engine alone, each stage alone, and the whole pipeline on the same video.

    "alone" runs nothing beside it. "core ms" adds up all cores. The last line is the rate of the whole pipeline by
    that of the slowest stage alone.
    """
    from rsseg_edge.bench.run import measure

    with TemporaryDirectory(prefix="rsseg-bench-") as folder:
        if video is None:
            video = Path(folder) / "flight.mp4"
            say("making a video to run on ...")
            _generate(video, frames)
        measured = measure(
            model, video, long_side=long_side, threads=threads, frames=frames, engine=engine.value, say=say
        )
    if as_json:
        print(json.dumps(_as_dict(measured), ensure_ascii=False))
    else:
        _print(measured)


def _generate(path: Path, frames: int) -> None:
    from rsseg_edge.bench.clip import write_clip
    from rsseg_edge.datasets.scenes import generate_clip

    write_clip(path, (sample.image for sample in generate_clip(0, frames, 720, 1280)))


def _as_dict(measured: Measured) -> dict[str, object]:
    return {
        "about": measured.about,
        "alone": {
            name: {
                "median_ms": round(1e3 * timing.quantile(0.5), 3),
                "p90_ms": round(1e3 * timing.quantile(0.9), 3),
                "p99_ms": round(1e3 * timing.quantile(0.99), 3),
                "core_ms": round(1e3 * timing.cpu, 3),
                "frames_per_second": round(timing.rate, 2),
            }
            for name, timing in measured.alone.items()
        },
        "together": {
            "frames_per_second": round(measured.together, 2),
            "core_ms": round(1e3 * measured.together_cpu, 3),
            "by_slowest_alone": round(measured.overlap, 3),
        },
    }


def _print(measured: Measured) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    about = Table.grid(padding=(0, 2))
    for key, value in measured.about.items():
        about.add_row(f"[dim]{key}[/]", value)
    console.print(about)
    table = Table("alone", *(f"{name} [dim]ms[/]" for name in ("median", "p90", "p99", "core")), "frames/s", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, timing in measured.alone.items():
        quantiles = [f"{1e3 * timing.quantile(q):.1f}" for q in (0.5, 0.9, 0.99)]
        table.add_row(name, *quantiles, f"{1e3 * timing.cpu:.1f}", f"{timing.rate:.1f}")
    table.add_row("[bold]together[/]", "", "", "", f"{1e3 * measured.together_cpu:.1f}", f"{measured.together:.1f}")
    console.print(table)
    console.print(f"together / slowest alone: [bold]{measured.overlap:.2f}[/]")


def main() -> None:
    """Entry point of ``rsseg-bench``."""
    run_app(app)
