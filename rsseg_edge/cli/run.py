"""``rsseg-run``: segment a video or images and draw the classes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from rsseg_edge.cli import INTERRUPTED, EngineChoice, run_app, say

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def run(
    where: Annotated[str, typer.Argument(metavar="INPUT", help="Video, image, folder of images, or a quoted glob.")],
    model: Annotated[str, typer.Option(help="Shipped bundle by name, or any bundle's folder.")] = "segclip-tiny",
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")] = Path("out"),
    classes: Annotated[
        str | None,
        typer.Option(metavar="'A,B; C'", help="Open vocabulary: classes by ';', their synonyms by ','."),
    ] = None,
    background: Annotated[str | None, typer.Option(metavar="A,B", help="Open vocabulary: what is no class.")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Open vocabulary: least probability of a class.")
    ] = None,
    refer: Annotated[
        list[str] | None, typer.Option(metavar="SENTENCE", help="Referring: what to segment; may be given repeatedly.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Open vocabulary: windows that do not overlap.")] = False,
    classes_only: Annotated[str | None, typer.Option(metavar="A,B", help="Draw and count these classes alone.")] = None,
    alpha: Annotated[float, typer.Option(min=0, max=1, help="Weight of the classes' colours.")] = 0.45,
    class_maps: Annotated[bool, typer.Option("--class-maps", help="Also write class maps, as PNG.")] = False,
    long_side: Annotated[
        int | None, typer.Option(help="Longest side that the network sees, pixels.  [default: the bundle's]")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores for the network.  [default: all but one]")] = None,
    engine: Annotated[EngineChoice, typer.Option(help="What runs the network.")] = EngineChoice.auto,
    max_frames: Annotated[int | None, typer.Option(help="Stop after this many frames.")] = None,
    stride: Annotated[int, typer.Option(help="Take every K-th frame.")] = 1,
    start: Annotated[float, typer.Option(help="Begin this many seconds after the first frame.")] = 0.0,
    end: Annotated[float | None, typer.Option(help="Stop this many seconds after the first frame.")] = None,
    geo: Annotated[Path | None, typer.Option(metavar="OUT.gpkg", help="Map: class polygons, by telemetry.")] = None,
    geo_merge: Annotated[bool, typer.Option("--geo-merge", help="Map: polygons merged over time.")] = False,
    mosaic: Annotated[Path | None, typer.Option(metavar="OUT.tif", help="Map: the classes of all frames.")] = None,
    gsd: Annotated[
        float | None, typer.Option(metavar="M", help="Map: side of the mosaic's cells.  [default: the first frame's]")
    ] = None,
    telemetry: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Map: .srt, .tlog or .bin.  [default: KLV, or .SRT beside]")
    ] = None,
    telemetry_offset: Annotated[
        float, typer.Option(metavar="S", help="Map: seconds of a .tlog or .bin at the first frame.")
    ] = 0.0,
    dem: Annotated[Path | None, typer.Option(metavar="DEM.tif", help="Map: terrain, metres above the sea.")] = None,
    ground: Annotated[float | None, typer.Option(metavar="M", help="Map: flat ground, metres above the sea.")] = None,
    fov: Annotated[str | None, typer.Option(metavar="H[,V]", help="Map: field of view, degrees.")] = None,
    mount: Annotated[
        float | None, typer.Option(metavar="DEG", help="Map: elevation of a camera without gimbal; -90 is down.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the closing table as JSON on stdout.")] = False,
) -> None:
    """Segment aerial video or images and draw the classes over them.

    A video gives OUT/overlay.mp4 (H.264; size, rate, time stamps and audio of the input), an image
    OUT/NAME.overlay.png. Both give OUT/frames.jsonl: a line a frame with the area share and pixel count of each class.
    --class-maps adds OUT/class_maps/INDEX.png for a video, OUT/NAME.classes.png for an image.

    The KLV of a transport stream goes into OUT/overlay.ts, beside the same overlay. With telemetry (KLV, a DJI .SRT, a
    log of an autopilot), --geo writes polygons in WGS 84, --mosaic a GeoTIFF.

    A file appears under its name when it is whole. Ctrl-C (or SIGTERM) closes the files with the frames that are done;
    a second one drops them. Exit codes: 0 done, 1 something failed or could not be read, 2 the request cannot be met,
    130 interrupted.
    """
    from rsseg_edge.cli.progress import FrameProgress
    from rsseg_edge.cli.summary import print_table, summary_json
    from rsseg_edge.errors import UsageError
    from rsseg_edge.job import Job, Request, Vocabulary
    from rsseg_edge.maps import MapRequest
    from rsseg_edge.prompts.vocabulary import split_classes
    from rsseg_edge.sources.base import Selection

    problems: list[str] = []

    def report(line: str) -> None:
        problems.append(line)
        say(f"warning: {line}")

    names = None if classes_only is None else [name.strip() for name in classes_only.split(",")]
    if classes is None and (background is not None or threshold is not None):
        raise UsageError("--background and --threshold go with --classes 'A,B; C'")
    vocabulary = None
    if classes is not None:
        vocabulary = Vocabulary(split_classes(classes), background, threshold)
    selection = Selection(start, end, stride, max_frames)
    maps = MapRequest(geo, geo_merge, mosaic, gsd, telemetry, telemetry_offset, dem, ground, _field_of_view(fov), mount)
    request = Request(
        where, model, out, selection, names, alpha, class_maps, long_side, threads,
        vocabulary=vocabulary, fast=fast, sentences=refer or (), maps=maps, engine=engine.value,
    )  # fmt: skip
    job = Job(request, report, say)
    for note in job.notes:
        say(f"warning: {note}")
    if job.change is not None and job.change.encoded:
        say(f"{job.change.encoded} new words encoded in {job.change.seconds:.1f} s; they are kept for the next run")

    def stop(signum: int, _: object) -> None:
        signal.signal(signum, signal.default_int_handler)  # the second one does not wait
        job.stop()

    for signum in (signal.SIGINT, signal.SIGTERM):  # a service that is stopped closes its files, too
        signal.signal(signum, stop)
    with FrameProgress(job.source.expected) as progress:
        outcome = job.run(on_result=progress.advance)
    if as_json:
        print(summary_json(outcome, job.counted(outcome), problems))
    else:
        print_table(outcome, job.counted(outcome), out)
    if outcome.error is not None:
        raise outcome.error
    if outcome.stopped:
        say(f"interrupted: {outcome.frames} frames are in {out}")
        sys.exit(INTERRUPTED)
    if problems:
        sys.exit(1)


def _field_of_view(text: str | None) -> tuple[float, float | None] | None:
    from rsseg_edge.errors import UsageError

    if text is None:
        return None
    try:
        angles = [float(part) for part in text.split(",")]
    except ValueError:
        angles = []
    if len(angles) not in (1, 2):
        raise UsageError(f"--fov {text}: degrees, as 62 or 62,38")
    return angles[0], angles[1] if len(angles) == 2 else None


def main() -> None:
    """Entry point of ``rsseg-run``."""
    run_app(app)
