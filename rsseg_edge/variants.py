"""A bundle's graphs in other precisions: which of them a machine runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from rsseg_edge.bundle import MANIFEST, SHIPPED, Bundle, open_bundle
from rsseg_edge.errors import UsageError
from rsseg_edge.machine import byte_products, has_vnni
from rsseg_edge.precision import Precision, Variant

PrecisionName = Literal["fp32", "fp16", "int8"]


def choose_precision(
    bundle: Bundle, precision: PrecisionName | None, *, engine: str, on_cpu: bool
) -> tuple[Bundle, str]:
    """The bundle in one precision, and why it is that one, empty where it is its own.

    None takes int8 where graphs run on a CPU that multiplies bytes into 32 bits and the bundle has measured on such a
    one that int8 is faster than its own precision; how much accuracy that may cost was settled when it was exported.
    A shipped bundle NAME has its graphs in int8 in one of their own, NAME-int8: both together would be too large.

    Args:
        bundle: as it was opened.
        precision: that is asked for.
        engine: that is asked for, see :func:`rsseg_edge.engines.choose.open_engine`.
        on_cpu: whether a CPU runs the graphs.

    Raises:
        UsageError: the bundle has no such graphs.
    """
    beside = _int8_beside(bundle)
    if precision is None:
        alternatives = [as_variant(bundle, variant) for variant in bundle.manifest.variants]
        for other in (*alternatives, *beside):
            if on_cpu and _is_faster(other):
                return other, _reason(bundle, other)
        return without_variants(bundle), ""
    found = [v for v in bundle.manifest.variants if v.precision.name == precision]
    if bundle.manifest.precision.name == precision:
        return without_variants(bundle), ""
    if engine.startswith("tensorrt"):
        found = [v for v in found if v.precision.target != "cpu"]
    if not found and precision == "int8" and on_cpu and beside:
        return beside[0], ""
    if not found:
        raise UsageError(_lacks(bundle, precision, engine))
    wanted = "cpu" if on_cpu else "tensorrt"
    best = max(found, key=lambda variant: variant.precision.target == wanted)
    return as_variant(bundle, best), ""


def as_variant(bundle: Bundle, variant: Variant) -> Bundle:
    """The bundle as if it were in a variant's precision: its graphs are read under the usual names."""
    plain = without_variants(bundle)
    files = {**plain.manifest.files, **{name: bundle.manifest.files[file] for name, file in variant.graphs.items()}}
    update = {
        "precision": variant.precision,
        "parity": variant.parity,
        "scores": variant.scores,
        "speed": variant.speed,
        "engines": (),  # of other graphs
        "files": files,
    }
    return replace(plain, manifest=plain.manifest.model_copy(update=update), instead=dict(variant.graphs))


def in_float(bundle: Bundle, model: str | Path) -> Bundle:
    """What an int8 bundle was made from, where ``model`` names that; any other, as it is.

    Raises:
        RssegError: it is damaged.
    """
    if bundle.manifest.precision.name != "int8":
        return bundle
    parent = without_variants(open_bundle(model))
    return bundle if parent.manifest.precision.name == "int8" else parent


def without_variants(bundle: Bundle) -> Bundle:
    """The bundle in its own precision alone."""
    extra = {file for variant in bundle.manifest.variants for file in (*variant.graphs.values(), *variant.reports)}
    files = {name: digest for name, digest in bundle.manifest.files.items() if name not in extra}
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"variants": (), "files": files}))


def described(precision: Precision) -> str:
    """``int8 (for tensorrt)``."""
    return precision.name + (f" (for {precision.target})" if precision.target else "")


def _int8_beside(bundle: Bundle) -> tuple[Bundle, ...]:
    folder = bundle.path.with_name(f"{bundle.path.name}-int8")
    shipped = bundle.path.parent == SHIPPED and (folder / MANIFEST).is_file()
    return (without_variants(open_bundle(folder)),) if shipped else ()


def _reason(bundle: Bundle, other: Bundle) -> str:
    speed = other.manifest.speed
    assert speed is not None, "it is faster"
    ratio = speed.parent_milliseconds / speed.milliseconds
    return f"{ratio:.1f} times as fast as {bundle.manifest.precision.name} on {speed.processor}"


def _is_faster(bundle: Bundle) -> bool:
    precision, speed = bundle.manifest.precision, bundle.manifest.speed
    return (
        precision.name == "int8"
        and precision.target == "cpu"
        and speed is not None
        and speed.vnni is True
        and speed.milliseconds < speed.parent_milliseconds
        and has_vnni() is True
        and speed.byte_products in (None, byte_products())  # kernels of ours have a form for the widest alone
    )


def _lacks(bundle: Bundle, precision: str, engine: str) -> str:
    manifest = bundle.manifest
    has = ", ".join(described(p) for p in (manifest.precision, *(v.precision for v in manifest.variants)))
    model = manifest.name if bundle.path.parent == SHIPPED else bundle.path
    way, where = f"rsseg-export --model {model} --precision {precision} --variant -o DIR", ""
    if precision == "int8":
        way += " --calibration IMAGES"
        if engine.startswith("tensorrt"):
            way, where = f"{way} --target tensorrt", " for TensorRT"
    if precision == "fp32":
        return f"bundle {manifest.name} has no graphs in fp32, it has {has}: export its checkpoint anew"
    return f"bundle {manifest.name} has no graphs in {precision}{where}, it has {has}: {way} makes a bundle with them"
