"""``rsseg-eval``: measure a bundle or a checkpoint on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsseg_edge.cli import PrecisionChoice, run_app
from rsseg_edge.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from rsseg_edge.variants import PrecisionName

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def evaluate(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="Shipped bundle, folder of a bundle, or checkpoint file.")
    ],
    data: Annotated[
        str | None, typer.Option(help="Data set of the table, or a TOML file that describes a folder.")
    ] = None,
    all_sets: Annotated[
        bool, typer.Option("--all", help="The sets of the open-vocabulary benchmark that are below --root.")
    ] = False,
    root: Annotated[
        Path | None, typer.Option(help="Folder that the data set was unpacked in. [default: the TOML file's own]")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the data set. [default: val]")] = None,
    long_side: Annotated[
        int | None, typer.Option(min=32, help="Scale larger images down to this, in pixels. [default: the model's]")
    ] = None,
    precision: Annotated[
        PrecisionChoice | None, typer.Option(help="Of a bundle's network.  [default: the one that rsseg-run takes]")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="'A,B; C'",
            help="Open vocabulary: classes by ';', their synonyms by ','; in the order of the data's unless --map says "
            "otherwise. [default: the data's words]",
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
    phrasings: Annotated[
        str | None,
        typer.Option(help="Of sentences that are made: train, or those held out from it.  [default: held_out]"),
    ] = None,
    sentences: Annotated[
        int | None, typer.Option(min=1, help="Sentences about an image, where they are made from masks.  [default: 8]")
    ] = None,
    shuffle: Annotated[
        bool, typer.Option(help="Compare each answer with the next sentence's pixels: a model that reads falls.")
    ] = False,
    png: Annotated[Path | None, typer.Option(help="Draw the confusion matrix into this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout in place of the table.")] = False,
) -> None:
    """Measure WHAT on labelled images: IoU, F1, precision and recall of each class, mIoU, overall accuracy.

    Of a model that reads sentences: overall IoU, mean IoU, and the share of sentences with an IoU above 0.5 to 0.9,
    about data with sentences of its own or with masks, for which sentences are made.

    Every image is segmented as rsseg-run does it and compared at its full size. Classes of model and data are matched
    by name. Pixels that the data set leaves open do not count, and mIoU is the mean over the classes that occur in
    labels or predictions.

    A model of an open vocabulary is asked for the classes of the data. With --all it is measured on each of the 17 sets
    that has a folder below --root, with its words, threshold and background, beside the published figures.

    Exit code: 0 done, 1 something could not be read or written, 2 the request cannot be met, 130 interrupted.
    """
    if all_sets == (data is not None):
        raise UsageError("rsseg-eval takes either --data NAME or --all")
    if all_sets:
        if root is None:
            raise UsageError("--all needs the folder that the sets lie in: --root DIR")
        if split or pairs or png or classes or precision:
            raise UsageError(
                "--all measures each set as it is published: without --split, --classes, --map, --png and --precision"
            )
        _evaluate_all(what, root, long_side, max_images, as_json)
        return
    assert data is not None
    split = split or "val"
    number: PrecisionName | None = precision.value if precision else None
    from rsseg_edge.datasets.reader import open_dataset
    from rsseg_edge.evaluation.report import check_picture
    from rsseg_edge.evaluation.subject import reads_sentences
    from rsseg_edge.prompts.vocabulary import split_classes

    if reads_sentences(what):
        if long_side or classes or pairs or png:
            raise UsageError(
                f"{what} reads sentences and has no classes: --long-side, --classes, --map and --png are not for it"
            )
        _evaluate_referring(
            what, number, data, root, split, phrasings, sentences, max_images, shuffle=shuffle, as_json=as_json
        )
        return
    if phrasings or sentences or shuffle:
        raise UsageError(
            f"{what} has classes and reads no sentences: --phrasings, --sentences and --shuffle are not for it"
        )
    if png is not None:
        check_picture(png)
    dataset = open_dataset(data, root, split)

    from rsseg_edge.cli.progress import Bar
    from rsseg_edge.evaluation.evaluate import evaluate as measure
    from rsseg_edge.evaluation.report import draw_png, to_json, to_table
    from rsseg_edge.evaluation.subject import open_subject
    from rsseg_edge.evaluation.vocabulary import match_subject

    segmenter = open_subject(what, long_side, number)
    try:
        match = match_subject(segmenter, dataset.spec, pairs or (), split_classes(classes) if classes else None)
        with Bar("images") as bar:
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
        _print_table(to_table(matrix, f"{what} on {data} {split}, {images} images"))
    if png is not None:
        draw_png(matrix, png, f"{what} on {data} {split}, {images} images")


def _evaluate_all(what: str, root: Path, long_side: int | None, max_images: int | None, as_json: bool) -> None:
    from rsseg_edge.cli.progress import Bar
    from rsseg_edge.evaluation.benchmark import find_sets, measure_sets, rows_to_json, rows_to_table
    from rsseg_edge.evaluation.subject import open_subject
    from rsseg_edge.evaluation.vocabulary import is_open

    find_sets(root)  # before a model is loaded
    segmenter = open_subject(what, long_side)
    try:
        if not is_open(segmenter):
            raise UsageError(f"--all: {what} has classes of its own; a model of an open vocabulary is needed")
        with Bar("images") as bar:
            rows = measure_sets(segmenter, root, max_images=max_images, progress=bar.show_named)
    finally:
        segmenter.close()
    if as_json:
        import json

        print(json.dumps(rows_to_json(rows, model=what, long_side=segmenter.long_side), indent=2))
    else:
        _print_table(rows_to_table(rows, f"{what} on the open-vocabulary benchmark"))


def _evaluate_referring(
    what: str,
    precision: PrecisionName | None,
    data: str,
    root: Path | None,
    split: str,
    phrasings: str | None,
    sentences: int | None,
    max_images: int | None,
    *,
    shuffle: bool,
    as_json: bool,
) -> None:
    from rsseg_edge.cli.progress import Bar
    from rsseg_edge.datasets.reader import open_dataset
    from rsseg_edge.datasets.referring import ReferringDataset, is_given, open_given
    from rsseg_edge.datasets.referring.expression import Phrasings
    from rsseg_edge.evaluation.referring import Samples, evaluate_referring
    from rsseg_edge.evaluation.referring_report import referring_json, referring_table
    from rsseg_edge.evaluation.subject import open_referring

    samples: Samples
    if is_given(data):
        if phrasings or sentences:
            raise UsageError(f"data {data} has sentences of its own: --phrasings and --sentences are not for it")
        samples, origin = open_given(data, root, split), "given"
    else:
        choice: dict[str, Phrasings] = {"held_out": "held_out", "train": "train"}
        origin = phrasings or "held_out"
        if origin not in choice:
            raise UsageError(f"--phrasings {origin}: it is train or held_out")
        samples = ReferringDataset(open_dataset(data, root, split), count=sentences or 8, phrasings=choice[origin])
    refer = open_referring(what, precision)
    with Bar("images") as bar:
        counts = evaluate_referring(refer, samples, bar.show, shuffled=shuffle, max_images=max_images)
    images = min(len(samples), max_images or len(samples))
    if as_json:
        import json

        context = {"model": what, "data": data, "split": split, "images": images}
        print(json.dumps(referring_json(counts, **context, phrasings=origin, shuffled=shuffle), indent=2))
    else:
        shuffled = ", sentences shuffled" if shuffle else ""
        _print_table(
            referring_table(counts, f"{what} on {data} {split}, {images} images, {origin} phrasings{shuffled}")
        )


def _print_table(table: Table) -> None:
    from rich.console import Console

    Console().print(table)


def main() -> None:
    """Entry point of ``rsseg-eval``."""
    run_app(app)


if __name__ == "__main__":
    main()
