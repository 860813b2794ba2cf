"""A bundle whose graphs are there in a second precision too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from shutil import rmtree

from rsseg_edge.bundle import MANIFEST, Bundle, Manifest, open_bundle, shipped_bundles
from rsseg_edge.errors import UsageError
from rsseg_edge.export.request import Request
from rsseg_edge.export.write import bundle_name, check_target, checksums, write_bundle
from rsseg_edge.precision import Precision, Variant

REPORTS = ("report.json", "report.html")


def export_variant(request: Request, folder: Path, make: Callable[[Request, Path], object]) -> Manifest:
    """Write a bundle with the graphs that a request starts from and, beside them, those that it makes.

    Args:
        request: its model is a bundle's folder or a shipped bundle.
        folder: of the new bundle; may be the one that the request starts from.
        make: writes the bundle in the other precision: asked for by the request, into the folder that it is given.

    Raises:
        UsageError: the request starts from no bundle, or what it makes takes another input than that.
        RssegError: a bundle is damaged, or a file cannot be read or written; ``folder`` is as it was then.
    """
    check_target(folder)
    name = bundle_name(None, folder)
    if not (Path(request.model) / MANIFEST).is_file() and request.model not in shipped_bundles():
        raise UsageError(
            f"--variant puts graphs beside those of a bundle, and {request.model} is none: give a bundle's folder or "
            f"one of {', '.join(shipped_bundles())} as --model"
        )
    bundle = open_bundle(request.model)
    if bundle.manifest.precision.name == request.precision:
        raise UsageError(f"--variant: bundle {bundle.manifest.name} is in {request.precision} itself")
    aside = folder.with_name(f".{folder.name}.variant")
    try:
        make(replace(request, name=name), aside)
        return add_variant(bundle, open_bundle(aside), folder)
    finally:
        rmtree(aside, ignore_errors=True)


def add_variant(bundle: Bundle, other: Bundle, folder: Path) -> Manifest:
    """Write a bundle with the graphs of another, in which they are in another precision, beside its own.

    An earlier variant of the same precision and target is replaced.

    Raises:
        UsageError: the other's input or classes are not the bundle's.
        RssegError: a bundle is damaged, or a file cannot be read or written.
    """
    manifest, precision = bundle.manifest, other.manifest.precision
    for what in ("model", "input", "classes", "vocabulary", "referring"):
        if getattr(manifest, what) != getattr(other.manifest, what):
            raise UsageError(f"--variant: the other graphs' {what} is not that of bundle {manifest.name}")
    tag = precision.name + ("-tensorrt" if precision.target == "tensorrt" else "")
    changed = [
        name
        for name, digest in other.manifest.files.items()
        if name.endswith(".onnx") and manifest.files.get(name) != digest
    ]
    reports = [name for name in REPORTS if name in other.manifest.files]
    variant = Variant(
        precision=precision,
        graphs={name: _tagged(name, tag) for name in changed},
        reports=tuple(_tagged(name, tag) for name in reports),
        parity=other.manifest.parity,
        scores=other.manifest.scores,
        speed=other.manifest.speed,
    )
    kept = [v for v in manifest.variants if not _same(v.precision, precision)]
    dropped = {name for v in manifest.variants if v not in kept for name in (*v.graphs.values(), *v.reports)}
    files = {name: bundle.read(name) for name in manifest.files if name not in dropped}
    files |= {_tagged(name, tag): other.read(name) for name in (*changed, *reports)}
    update = {"name": folder.resolve().name, "variants": (*kept, variant), "files": checksums(files)}
    made = Manifest.model_validate(manifest.model_copy(update=update).model_dump())
    write_bundle(folder, made, files)
    return made


def _same(one: Precision, other: Precision) -> bool:
    return (one.name, one.target) == (other.name, other.target)


def _tagged(name: str, tag: str) -> str:
    """``model.onnx`` as ``model.int8.onnx``."""
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}.{tag}{path.suffix}"))
