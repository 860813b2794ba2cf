"""``rsseg-export``: make a bundle that any edge install runs."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from rsseg_edge.cli import PrecisionChoice, run_app, say
from rsseg_edge.errors import UsageError

if TYPE_CHECKING:
    from rsseg_edge.bundle import Manifest
    from rsseg_edge.export.request import Request
    from rsseg_edge.precision import Score

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def _list_engines(wanted: bool) -> None:
    if wanted:
        from rsseg_edge.cli.engines import print_engines

        print_engines()
        raise typer.Exit


class Target(str, Enum):
    """What is made: a bundle (int8: for which runtime), a bundle with an engine in it, or a server's repository."""

    onnx = "onnx"
    cpu = "cpu"
    tensorrt = "tensorrt"
    rtx = "rtx"
    triton_server = "triton-server"


@app.command()
def export(
    model: Annotated[
        str, typer.Option(help="segclip, segclip-tiny, cris, cris-r101, cris-tiny, segearth-ov, segearth-ov-tiny.")
    ],
    output: Annotated[Path, typer.Option("-o", help="Folder of the bundle.")],
    precision: Annotated[PrecisionChoice, typer.Option(help="Arithmetic of the graph.")] = PrecisionChoice.fp32,
    checkpoint: Annotated[
        Path | None, typer.Option(help="model.safetensors of rsseg-train. [default: the shipped bundle's weights]")
    ] = None,
    official: Annotated[Path | None, typer.Option(help="cris, cris-r101: the authors' checkpoint.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="The only input size, for a runtime that wants one.")
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="segclip: a graph of several images at once, for several streams on a GPU.")
    ] = False,
    images: Annotated[
        str | None, typer.Option(help="Images or video to check the export on. [default: generated scenes]")
    ] = None,
    clip: Annotated[
        str | None, typer.Option(metavar="NAME", help="segearth-ov: an open_clip model. [default: ViT-B-16]")
    ] = None,
    clip_weights: Annotated[
        str | None,
        typer.Option(metavar="TAG|FILE", help="segearth-ov: a tag of open_clip or a file. [default: openai]"),
    ] = None,
    upsampler_weights: Annotated[
        Path | None, typer.Option(help="segearth-ov and its -tiny: checkpoint of SimFeatUp, JBUOne or JBUStack.")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="'A,B; C'", help="Open vocabulary: classes of who names none: by ';', synonyms by ','."),
    ] = None,
    target: Annotated[
        Target,
        typer.Option(
            help="onnx: a bundle; cpu, tensorrt: in int8 for that; rtx: with an engine of TensorRT-RTX; "
            "triton-server: a repository."
        ),
    ] = Target.onnx,
    calibration: Annotated[
        str | None,
        typer.Option(metavar="PATH|DATA", help="int8: real images: video, folder, scene, or a data set's name."),
    ] = None,
    calibration_images: Annotated[int, typer.Option(min=8, help="int8: images to calibrate on.")] = 64,
    max_drop: Annotated[float, typer.Option(min=0, help="int8: points of mIoU that may be lost.")] = 0.5,
    variant: Annotated[
        bool,
        typer.Option(
            "--variant",
            help="Put the graphs in this --precision beside those of the bundle MODEL, for rsseg-run to choose from.",
        ),
    ] = False,
    capability: Annotated[
        str | None, typer.Option("--compute-capability", metavar="8.6,12.0", help="rtx: GPUs to build for.")
    ] = None,
    list_engines: Annotated[
        bool,
        typer.Option("--list-engines", is_eager=True, callback=_list_engines, help="List the engines kept, and exit."),
    ] = False,
    score: Annotated[str | None, typer.Option(help="Measure the bundle on this data set's validation split.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder that the data set was unpacked in.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest on stdout.")] = False,
) -> None:
    """Export MODEL to a bundle: bundle.json, its graphs and, where it reads words, tokenizer.json.

    The new graph runs beside the network that it was made from, over images, and is refused where they disagree:
    99.9 % of the pixels must get the same class in fp32, 99.5 % in fp16.

    --precision int8, --target rtx and triton-server also take a bundle's folder as MODEL.
    """
    quantized = precision is PrecisionChoice.int8
    if quantized != (calibration is not None):
        raise UsageError(
            "--precision int8 and --calibration PATH go together: ranges are measured on real images of what the "
            "network will see, as a video or a folder of them"
        )
    if target in (Target.cpu, Target.tensorrt) and not quantized:
        raise UsageError(f"--target {target.value} is for --precision int8; a graph in float runs on either")
    if variant and target in (Target.rtx, Target.triton_server):
        raise UsageError(f"--variant makes a bundle: give that to --target {target.value} as --model")
    if variant and score and not quantized:
        raise UsageError("--score measures a bundle of its own: leave --variant out")
    if (capability is not None) != (target is Target.rtx):
        raise UsageError("--target rtx and --compute-capability 8.6,12.0 go together")
    if batch and (quantized or target is not Target.onnx or not model.startswith("segclip")):
        raise UsageError("--batch is for a bundle of segclip in fp32 or fp16")
    canvas = _size(size)
    named = None if classes is None else tuple(name.strip() for name in classes.split(";") if name.strip())
    from rsseg_edge.export.build import export as build
    from rsseg_edge.export.request import Request

    def measure(bundle: Path) -> tuple[Score, ...]:
        from rsseg_edge.evaluation.score import score_bundle

        assert score is not None
        return score_bundle(bundle, score, root)

    request = Request(
        model=model,
        precision=precision.value,
        checkpoint=checkpoint,
        size=canvas,
        batch=batch,
        images=images,
        official=official,
        clip=clip,
        clip_weights=clip_weights,
        upsampler_weights=upsampler_weights,
        classes=named,
    )
    if quantized:
        wanted = _Calibration(calibration or "", target, max_drop, calibration_images, score, root)
        _make_int8(request, wanted, output, as_json, variant)
        return
    if target is not Target.onnx:
        _make_target(request, target, capability, output)
        return
    if variant:
        from rsseg_edge.export.variant import export_variant

        manifest = export_variant(request, output, lambda asked, folder: build(asked, folder, say))
    else:
        manifest = build(request, output, say, measure if score else None)
    for result in manifest.scores:
        say(f"mIoU {100 * result.miou:.1f} % on {result.data} {result.split}, {result.setting}")
    say(f"wrote {output}: {sum(f.stat().st_size for f in output.iterdir()) / 1e6:.1f} MB")
    if as_json:
        print(manifest.model_dump_json(indent=2))


class _Calibration(NamedTuple):
    path: str
    target: Target
    max_drop: float
    images: int
    labels: str | None
    root: Path | None


def _make_int8(request: Request, wanted: _Calibration, output: Path, as_json: bool, variant: bool) -> None:
    from rsseg_edge.cli.progress import StepProgress
    from rsseg_edge.export.int8 import Int8Request, export_int8
    from rsseg_edge.export.variant import export_variant

    if wanted.target in (Target.rtx, Target.triton_server):
        raise UsageError(f"--precision int8 makes a bundle: give that to --target {wanted.target.value} as --model")
    asked = Int8Request(
        wanted.path,
        "tensorrt" if wanted.target is Target.tensorrt else "cpu",
        wanted.max_drop,
        wanted.images,
        wanted.labels,
        wanted.root,
    )
    with StepProgress("calibrating") as progress:

        def make(request: Request, folder: Path) -> Manifest:
            return export_int8(request, asked, folder, say, progress.show)

        try:
            manifest = export_variant(request, output, make) if variant else make(request, output)
        except KeyboardInterrupt:
            say(f"interrupted: ranges measured so far are kept beside {output}; the same command goes on")
            raise
    size = sum(f.stat().st_size for f in output.iterdir()) / 1e6
    page = [name for name in manifest.files if name.endswith(".html")][-1]
    say(f"wrote {output}: {size:.1f} MB; see {output / page}")
    if as_json:
        print(manifest.model_dump_json(indent=2))


def _make_target(request: Request, target: Target, capability: str | None, output: Path) -> None:
    if target is Target.rtx:
        from rsseg_edge.export.rtx import parse_capabilities
        from rsseg_edge.export.targets import export_rtx

        export_rtx(request, parse_capabilities(capability or ""), output, say)
    else:
        from rsseg_edge.export.targets import export_triton_server

        export_triton_server(request, output, say)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found or any(int(side) < 32 or int(side) % 32 for side in found.groups()):
        raise UsageError(f"--size {text}: height x width in multiples of 32, for instance 288x512")
    return int(found[1]), int(found[2])


def main() -> None:
    """Entry point of ``rsseg-export``."""
    run_app(app, extra="export")


if __name__ == "__main__":
    main()
