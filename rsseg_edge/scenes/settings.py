"""What is asked of a scene, and the windows that come of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rsseg_edge.asked_model import Vocabulary
from rsseg_edge.bundle import InputSpec
from rsseg_edge.engines.choose import EngineName
from rsseg_edge.errors import UsageError
from rsseg_edge.scenes.georeference import GeoReference
from rsseg_edge.scenes.scene import Options
from rsseg_edge.scenes.windows import Axis, Plan
from rsseg_edge.variants import PrecisionName

TILE, OVERLAP = 1568, 352
"""The sides of windows and what neighbours share of them: more costs time twice, less shows seams."""


@dataclass(frozen=True)
class SceneRequest:
    """What is to be done with each scene.

    Attributes:
        model: a shipped bundle's name or a bundle's folder.
        out: the folder of the results.
        options: how scenes are read.
        gsd: metres a pixel that the network is to see; None takes the bundle's where the scene is finer, and else the
            scene's own.
        tile: side of the windows in pixels that the network sees.
        overlap: of neighbouring windows, in the same pixels.
        offset: how far the grid of windows is moved back, in the same pixels: results hardly depend on it.
        vocabulary: of an open-vocabulary model; None takes the bundle's own.
        fast: see :class:`rsseg_edge.segmenters.open_vocabulary.OpenVocabularySegmenter`.
        classes_only: the classes that are drawn; None takes all.
        alpha: weight of the classes' colours in the quick-look, 0..1.
        confidence: whether the confidence is written.
        probabilities: whether the probability of every class is written.
        polygons: file formats of the polygons.
        simplify: tolerance of their simplification, in pixels of the scene, 0 to 1.
        threads: of one inference; None takes all cores.
        engine: what runs the network; see :func:`rsseg_edge.engines.choose.open_engine`.
        precision: of the network; None takes the faster one that the bundle has.
        overwrite: scenes that are finished are done anew.
    """

    model: str = "segclip-tiny"
    out: Path = Path("out")
    options: Options = field(default_factory=Options)
    gsd: float | None = None
    tile: int = TILE
    overlap: int = OVERLAP
    offset: int = 0
    vocabulary: Vocabulary | None = None
    fast: bool = False
    classes_only: Sequence[str] | None = None
    alpha: float = 0.45
    confidence: bool = False
    probabilities: bool = False
    polygons: tuple[str, ...] = ("gpkg",)
    simplify: float = 1.0
    threads: int | None = None
    engine: EngineName = "auto"
    precision: PrecisionName | None = None
    overwrite: bool = False


def plan_windows(geo: GeoReference, spec: InputSpec, stride: int, request: SceneRequest) -> Plan:
    """The windows of a scene.

    Args:
        geo: its grid.
        spec: what the network takes.
        stride: pixels a score.
        request: ``gsd``, ``tile``, ``overlap`` and ``offset``.

    Raises:
        UsageError: values that do not go together.
    """
    if request.gsd is not None and not request.gsd > 0:
        raise UsageError(f"--gsd {request.gsd:g}: metres a pixel, more than 0")
    native = geo.ground_sampling_distance()
    scale = native / (request.gsd or max(native, spec.gsd or 0.0))
    height, width = (max(1, round(side * scale)) for side in (geo.height, geo.width))
    if scale > 1 and height * width > 100 * geo.height * geo.width:
        raise UsageError(
            f"--gsd {request.gsd:g}: the scene has {native:g} m a pixel; that makes {width} x {height} of it"
        )
    multiple = math.lcm(spec.multiple_of, stride)
    rows = _axis(height, spec.height, request, multiple, stride)
    columns = _axis(width, spec.width, request, multiple, stride)
    return Plan(rows, columns, geo.height, geo.width)


def _axis(length: int, fixed: int | None, request: SceneRequest, multiple: int, stride: int) -> Axis:
    if request.tile < multiple or request.tile % multiple:
        raise UsageError(f"--tile {request.tile}: a multiple of {multiple}")
    if not 0 <= request.overlap <= request.tile // 2:
        raise UsageError(f"--overlap {request.overlap}: from 0 to half of --tile {request.tile}")
    tile = fixed or min(request.tile, -(-length // multiple) * multiple)
    overlap = min(request.overlap, tile // 2) // multiple * multiple
    # A network without a bound sees its surroundings: by two fifths from the end of a window, it hardly does.
    halo = overlap * 2 // 5 // stride * stride
    offset = request.offset % (tile - overlap) // multiple * multiple
    return Axis(length, tile, overlap, halo, stride, multiple, offset)
