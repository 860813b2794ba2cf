"""``rsseg-run``: segment a video, images or georeferenced scenes and draw the classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsseg_edge.cli import EngineChoice, PrecisionChoice, run_app
from rsseg_edge.cli.options import RtspTransport, SceneOptions, field_of_view, refuse

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def run(
    where: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Video, image, folder of images, scene, list of scenes, quoted glob; rtsp://, udp://, /dev/video0, "
            "csi://0, -. Several videos and streams share one network.",
        ),
    ],
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
    fast: Annotated[bool, typer.Option("--fast", help="Open vocabulary: coarser, several times as fast.")] = False,
    classes_only: Annotated[str | None, typer.Option(metavar="A,B", help="Draw and count these classes alone.")] = None,
    alpha: Annotated[float, typer.Option(min=0, max=1, help="Weight of the classes' colours.")] = 0.45,
    class_maps: Annotated[bool, typer.Option("--class-maps", help="Also write class maps, as PNG.")] = False,
    class_video: Annotated[
        bool, typer.Option("--class-video", help="Also write class maps as a lossless video.")
    ] = False,
    coco: Annotated[bool, typer.Option("--coco", help="Also write masks as a COCO file with run lengths.")] = False,
    long_side: Annotated[
        int | None, typer.Option(help="Longest side that the network sees, pixels.  [default: the bundle's]")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Cores for the network.  [default: all but one; scene: all]")
    ] = None,
    engine: Annotated[EngineChoice, typer.Option(help="What runs the network.")] = EngineChoice.auto,
    precision: Annotated[
        PrecisionChoice | None, typer.Option(help="Of the network.  [default: the faster one of the bundle]")
    ] = None,
    max_frames: Annotated[int | None, typer.Option(help="Stop after this many frames.")] = None,
    stride: Annotated[int, typer.Option(help="Take every K-th frame.")] = 1,
    start: Annotated[float, typer.Option(help="Begin this many seconds after the first frame.")] = 0.0,
    end: Annotated[float | None, typer.Option(help="Stop this many seconds after the first frame.")] = None,
    geo: Annotated[Path | None, typer.Option(metavar="OUT.gpkg", help="Map: class polygons, by telemetry.")] = None,
    geo_merge: Annotated[bool, typer.Option("--geo-merge", help="Map: polygons merged over time.")] = False,
    mosaic: Annotated[Path | None, typer.Option(metavar="OUT.tif", help="Map: the classes of all frames.")] = None,
    gsd: Annotated[
        float | None,
        typer.Option(
            metavar="M",
            help="Map: side of the mosaic's cells. Scene: metres a pixel that the network sees.  "
            "[default: the first frame's; the bundle's, for a finer scene]",
        ),
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
    smooth: Annotated[
        float, typer.Option(min=0, max=0.99, help="Video: weight of the past in a frame's scores; 0.6 halves flicker.")
    ] = 0.0,
    keyframes: Annotated[
        int, typer.Option(metavar="K", min=1, help="Video: the network sees one frame of K, more where much moves.")
    ] = 1,
    flicker: Annotated[bool, typer.Option("--flicker", help="Video: measure how much the classes flicker.")] = False,
    max_lag: Annotated[
        float | None, typer.Option(metavar="S", min=0.01, help="Live: frames older than this are not shown.")
    ] = None,
    live: Annotated[
        str | None, typer.Option(metavar="[HOST:]PORT", help="Show the run as a web page, on this machine alone.")
    ] = None,
    token: Annotated[str | None, typer.Option(help="Of --live where HOST is reached by others.")] = None,
    latest: Annotated[
        bool, typer.Option("--latest", help="Of standard input the newest frame alone, as of a live stream.")
    ] = False,
    log: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Append events (stream opened, lost, ...) as JSON lines; - is stdout."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI",
            help="Video: where the overlay goes, repeatable: FILE.mp4, FILE.mkv, udp://HOST:PORT (MPEG-TS), "
            "rtsp://HOST:PORT/PATH, live://[HOST]:PORT.  [default: OUT/overlay.mp4]",
        ),
    ] = None,
    max_mbit: Annotated[
        float | None, typer.Option(metavar="MBIT/S", min=0.05, help="Of --to udp:// and rtsp://: most a second.")
    ] = None,
    rtsp_transport: Annotated[RtspTransport, typer.Option(help="Of RTSP, in and out.")] = RtspTransport.tcp,
    as_json: Annotated[bool, typer.Option("--json", help="Print the closing table as JSON on stdout.")] = False,
    bands: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Scene: bands of red, green, blue, from 1.")
    ] = None,
    stretch: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH", help="Scene: percentiles that become 0 and 255.")
    ] = None,
    tile: Annotated[int | None, typer.Option(help="Scene: side of the windows, pixels.  [default: 1568]")] = None,
    overlap: Annotated[int | None, typer.Option(help="Scene: overlap of windows, pixels.  [default: 352]")] = None,
    confidence: Annotated[bool, typer.Option("--confidence", help="Scene: also write the confidence.")] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Scene: also write the probability of every class.")
    ] = False,
    polygons: Annotated[
        str | None, typer.Option(metavar="A,B", help="Scene: of gpkg, fgb, geojson; or none.  [default: gpkg]")
    ] = None,
    simplify: Annotated[
        float | None, typer.Option(min=0, max=1, help="Scene: tolerance of the polygons, pixels.  [default: 1]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Scene: do finished scenes anew.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Scene: processes that share the work.")] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Scene: a Dask scheduler whose workers share the work.")
    ] = None,
) -> None:
    """Segment aerial video, images or georeferenced scenes and draw the classes over them.

    A video gives OUT/overlay.mp4 (H.264; size, rate, time stamps and audio of the input), an image
    OUT/NAME.overlay.png. Both give OUT/frames.jsonl: a line a frame with the area share and pixel count of each class.
    --class-maps adds OUT/class_maps/INDEX.png for a video, OUT/NAME.classes.png for an image; --class-video
    OUT/classes.mkv (FFV1, grey values are class indices), --coco OUT/classes.coco.json.

    A scene (GeoTIFF, COG, VRT, JPEG 2000; a path, a URL, s3://, /vsicurl/; a .txt with one a line; a STAC item, item
    collection or search: a .json or the URL of one, or an API's /search) gives OUT/NAME.tif
    (classes as a COG), .gpkg (polygons), .csv and .json (areas), .png (quick-look), .html (map) and .stac.json. Memory
    does not grow with its area. A run that was stopped in any way goes on when the same command is given again.

    A live stream (rtsp://, rtsps://, udp://; '/dev/video0?size=1280x720&rate=30' for a USB camera, csi://0 for one on a
    Jetson's CSI port) is shown at its newest frame; it is opened again when it is lost, until Ctrl-C. Of standard input
    (-) every frame is taken; with --latest the newest, for a pipe that is live.

    Several videos and streams run at once: each has its results in OUT/NAME and memory of its own, one that fails does
    not stop the others, and what waits for the network at the same time goes through it as one batch where the model
    takes one, in turn where not. Several still images, as a shell makes of photos/*.jpg, are one run.

    --to sends the overlay elsewhere: into a file, to whoever watches an MPEG-TS, to an RTSP server, onto a page. A
    receiver that goes away does not hold the run up; it is found again. A killed run's part file can be played.

    The KLV of a transport stream goes into OUT/overlay.ts, beside the same overlay. With telemetry (KLV, a DJI .SRT, a
    log of an autopilot), --geo writes polygons in WGS 84, --mosaic a GeoTIFF.

    A file appears under its name when it is whole. Ctrl-C (or SIGTERM) closes the files with the frames that are done;
    a second one drops them. Exit codes: 0 done, 1 something failed or could not be read, 2 the request cannot be met,
    3 parts of a scene could not be read and have no data now, 130 interrupted.
    """
    from rsseg_edge.asked_model import Vocabulary
    from rsseg_edge.cli.log import start_log
    from rsseg_edge.errors import UsageError
    from rsseg_edge.job import Request
    from rsseg_edge.maps import MapRequest
    from rsseg_edge.outputs import Outputs
    from rsseg_edge.prompts.vocabulary import split_classes
    from rsseg_edge.scenes.probe import scene_inputs_of
    from rsseg_edge.sources.base import Selection
    from rsseg_edge.sources.names import Kind, kind_of
    from rsseg_edge.temporal.segmenter import Steadiness

    if log is not None:
        start_log(log, as_json)
    if classes is None and (background is not None or threshold is not None):
        raise UsageError("--background and --threshold go with --classes 'A,B; C'")
    of_scene = SceneOptions(
        bands, stretch, tile, overlap, confidence, probabilities, polygons, simplify, overwrite, workers, cluster
    )
    scenes = scene_inputs_of(where)
    if scenes is None:
        refuse(of_scene.by_name(), f"{{}} is for georeferenced scenes, and {where[0]} is none")
    else:
        of_frames = {
            "--class-maps": class_maps, "--long-side": long_side, "--max-frames": max_frames, "--stride": stride != 1,
            "--start": start, "--end": end, "--refer": refer or None, "--geo": geo, "--geo-merge": geo_merge,
            "--mosaic": mosaic, "--telemetry": telemetry, "--telemetry-offset": telemetry_offset, "--dem": dem,
            "--ground": ground, "--fov": fov, "--mount": mount,
            "--class-video": class_video, "--coco": coco, "--to": to or None, "--max-mbit": max_mbit,
            "--smooth": smooth, "--keyframes": keyframes != 1, "--flicker": flicker, "--latest": latest,
            "--max-lag": max_lag, "--live": live, "--token": token,
        }  # fmt: skip
        refuse(of_frames, f"{where[0]} is georeferenced: {{}} is for videos and images")
    one_run = len(where) == 1 or all(kind_of(given) is Kind.stills for given in where)
    request = Request(
        where[0], model, out, Selection(start, end, stride, max_frames),
        None if classes_only is None else [name.strip() for name in classes_only.split(",")],
        alpha, class_maps, long_side, threads,
        vocabulary=None if classes is None else Vocabulary(split_classes(classes), background, threshold),
        fast=fast, sentences=refer or (),
        maps=MapRequest(
            geo, geo_merge, mosaic, gsd if scenes is None else None, telemetry, telemetry_offset, dem, ground,
            field_of_view(fov), mount,
        ),
        engine=engine.value, precision=precision.value if precision else None,
        steadiness=Steadiness(smooth, keyframes), flicker=flicker, max_lag=max_lag, transport=rtsp_transport.value,
        live_page=live, token=token, outputs=Outputs(to or (), max_mbit, class_video, coco),
        also=where[1:] if one_run else (), latest=latest,
    )  # fmt: skip
    if scenes is not None:
        from rsseg_edge.cli.scenes import run_scenes

        run_scenes(scenes, request, of_scene, gsd, as_json)
    elif one_run:
        from rsseg_edge.cli.single import run_single

        run_single(request, as_json, log)
    else:
        from rsseg_edge.cli.several import run_several

        run_several(request, where, as_json, log)


def main() -> None:
    """Entry point of ``rsseg-run``."""
    run_app(app)
