"""What is made of a bundle beyond ONNX: from a bundle as it is, or from one that is exported for it first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rsseg_edge.bundle import MANIFEST, Bundle, open_bundle, shipped_bundles
from rsseg_edge.export.request import Request, Say
from rsseg_edge.variants import without_variants


def export_rtx(request: Request, capabilities: Sequence[tuple[int, int]], folder: Path, say: Say) -> None:
    """A bundle with an engine of TensorRT-RTX. See :func:`rsseg_edge.export.rtx.add_rtx_engine`."""
    from rsseg_edge.export.rtx import add_rtx_engine

    with source(replace(request, name=request.name or folder.resolve().name), say) as bundle:
        add_rtx_engine(bundle, folder, capabilities, say)


def export_triton_server(request: Request, folder: Path, say: Say) -> None:
    """A model repository. See :func:`rsseg_edge.export.triton_server.write_repository`."""
    from rsseg_edge.export.triton_server import write_repository

    with source(request, say) as bundle:
        write_repository(bundle, folder, say)


@contextmanager
def source(request: Request, say: Say) -> Iterator[Bundle]:
    """The bundle that is named, or one made by the request where it asks for another graph."""
    as_it_is = replace(Request(request.model, request.precision), name=request.name) == request
    # a bundle that is there is taken in its own precision, unless another is asked for
    named = (Path(request.model) / MANIFEST).is_file() or request.model in shipped_bundles()
    if as_it_is and named and request.precision == "fp32":
        yield without_variants(open_bundle(request.model))
        return
    from rsseg_edge.export.build import export

    with TemporaryDirectory(prefix="rsseg-export-") as folder:
        path = Path(folder) / (request.name or Path(request.model).name)
        export(request, path, say)
        yield open_bundle(path)
