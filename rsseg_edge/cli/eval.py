"""``rsseg-eval``: measure a bundle or a checkpoint on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsseg_edge.cli import run_app

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def evaluate(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="Shipped bundle, folder of a bundle, or checkpoint file.")
    ],
    data: Annotated[str, typer.Option(help="Data set of the table, or a TOML file that describes a folder.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder that the data set was unpacked in. [default: the TOML file's own]")
    ] = None,
    split: Annotated[str, typer.Option(help="Part of the data set.")] = "val",
    long_side: Annotated[
        int | None, typer.Option(min=32, help="Scale larger images down to this, in pixels. [default: the model's]")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="'A,B; C'",
            help="Open vocabulary: classes by ';', their synonyms by ','; in the order of the data's unless --map says "
            "otherwise. [default: the data's names]",
        ),
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="DATA=MODEL", help="A data class and its class of the model; DATA= leaves it out."
        ),
    ] = None,
    max_images: Annotated[
        int | None, typer.Option(min=1, help="Only so many images, spread over the data set.")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Draw the confusion matrix into this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout in place of the table.")] = False,
) -> None:
    """Measure WHAT on labelled images: IoU, F1, precision and recall of each class, mIoU, overall accuracy.

    Every image is segmented as rsseg-run does it and compared at its full size. Classes of model and data are matched
    by name. Pixels that the data set leaves open do not count, and mIoU is the mean over the classes that occur in
    labels or predictions.

    Exit code: 0 done, 1 something could not be read or written, 2 the request cannot be met, 130 interrupted.
    """
    from rsseg_edge.datasets.reader import open_dataset
    from rsseg_edge.errors import UsageError
    from rsseg_edge.evaluation.report import check_picture
    from rsseg_edge.prompts.vocabulary import split_classes

    if png is not None:
        check_picture(png)
    dataset = open_dataset(data, root, split)

    from rsseg_edge.evaluation.evaluate import evaluate as measure
    from rsseg_edge.evaluation.match import match_classes
    from rsseg_edge.evaluation.report import draw_png, to_json, to_table
    from rsseg_edge.evaluation.subject import TakesClasses, open_subject

    segmenter = open_subject(what, long_side)
    try:
        if isinstance(segmenter, TakesClasses):
            segmenter.set_classes(split_classes(classes) if classes else dataset.classes.names)
            if classes and not pairs and len(segmenter.classes) == len(dataset.classes):
                both = zip(dataset.classes.names, segmenter.classes, strict=True)
                pairs = [f"{ours}={theirs}" for ours, theirs in both]
        elif classes:
            raise UsageError(f"{what} has classes of its own: --classes is for a model of an open vocabulary")
        match = match_classes(dataset.classes, segmenter.classes, pairs or ())
        with _Bar() as bar:
            matrix = measure(
                lambda image: segmenter(image).class_map, dataset, bar.show, match=match, max_images=max_images
            )
    finally:
        segmenter.close()
    images = min(len(dataset), max_images or len(dataset))
    if as_json:
        import json

        context = {"model": what, "data": data, "split": split, "images": images, "long_side": segmenter.long_side}
        print(json.dumps(to_json(matrix, **context), indent=2))
    else:
        from rich.console import Console

        Console().print(to_table(matrix, f"{what} on {data} {split}, {images} images"))
    if png is not None:
        draw_png(matrix, png, f"{what} on {data} {split}, {images} images")


class _Bar:
    """A progress bar on stderr, gone when it is done; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("images", total=None)

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, total: int) -> None:
        """Images done and in all."""
        self._bar.update(self._task, completed=done, total=total)


def main() -> None:
    """Entry point of ``rsseg-eval``."""
    run_app(app)


if __name__ == "__main__":
    main()
