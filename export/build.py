"""``rsseg-export``: from a checkpoint, a bundle or published weights to a bundle, through the parity gate."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Mapping
from pathlib import Path

from rsseg_edge import __version__
from rsseg_edge.bundle import Manifest
from rsseg_edge.errors import UsageError
from rsseg_edge.export.request import Draft, Request, Say
from rsseg_edge.export.write import bundle_name, check_target, checksums, write_bundle
from rsseg_edge.precision import Score


def export(
    request: Request, folder: Path, say: Say, score: Callable[[Path], tuple[Score, ...]] | None = None
) -> Manifest:
    """Export and write the bundle.

    Args:
        request: see :class:`Request`.
        folder: the bundle's folder; an earlier bundle there is replaced.
        say: told each step in a line.
        score: measures the written bundle; what it gives goes into the manifest.

    Raises:
        UsageError: the request cannot be met.
        RssegError: the parity gate refuses, or a file cannot be read or written. Nothing is written then.
    """
    check_target(folder)
    name = bundle_name(request.name, folder)
    draft = _draft(request, say)
    manifest = draft.manifest.model_copy(
        update={
            "name": name,
            "files": checksums(draft.files),
            "variants": (),  # those of a bundle that this one starts from are of its graph
            "engines": (),  # and so are they
            "scores": (),  # those of a shipped bundle were measured at its own precision and size
            "made_with": {
                "rsseg-edge": __version__,
                "python": platform.python_version(),
                **{p: importlib.metadata.version(p) for p in ("torch", "onnx", "onnxruntime", "onnxscript", "timm")},
            },
        }
    )
    write_bundle(folder, Manifest.model_validate(manifest.model_dump()), draft.files)
    if score is not None:
        manifest = manifest.model_copy(update={"scores": score(folder)})
        write_bundle(folder, manifest, draft.files)
    return manifest


def _draft(request: Request, say: Say) -> Draft:
    from rsseg_edge.models.cris.config import configurations as cris_configurations
    from rsseg_edge.models.segearth_ov.config import configurations
    from rsseg_edge.models.segearth_ov.tiny.config import configurations as tiny_configurations

    published = {
        "--clip": request.clip,
        "--clip-weights": request.clip_weights,
        "--upsampler-weights": request.upsampler_weights,
        "--classes": request.classes,
    }
    if request.model in configurations():
        others: dict[str, object] = {
            "--checkpoint": request.checkpoint,
            "--official": request.official,
            "--size": request.size,
        }
        _refuse(request.model, others)
        from rsseg_edge.export.segearth_ov import export_segearth_ov

        return export_segearth_ov(request, say)
    if request.model in tiny_configurations():
        others = {"--clip": request.clip, "--clip-weights": request.clip_weights}
        _refuse(request.model, others | {"--official": request.official, "--size": request.size})
        from rsseg_edge.export.segearth_ov_tiny import export_segearth_ov_tiny

        return export_segearth_ov_tiny(request, say)
    _refuse(request.model, published)
    if request.model in cris_configurations():
        _refuse(request.model, {"--size": request.size})
        from rsseg_edge.export.cris import export_cris

        return export_cris(request, say)
    _refuse(request.model, {"--official": request.official})
    from rsseg_edge.export.segclip import export_segclip

    return export_segclip(request, say)


def _refuse(model: str, options: Mapping[str, object]) -> None:
    """Options that another model takes."""
    for option, value in options.items():
        if value is not None:
            raise UsageError(f"{option} is not for {model}; rsseg-export --help says which model takes what")
