"""What is evaluated: a bundle through its engine, or a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from rsseg_edge.bundle import open_bundle
from rsseg_edge.errors import UsageError
from rsseg_edge.evaluation.referring import BoolArray, Refer
from rsseg_edge.segmenter import Segmenter, load
from rsseg_edge.types import Segmentation, UInt8Array
from rsseg_edge.variants import PrecisionName

CHECKPOINTS = (".safetensors", ".pt", ".ckpt")


@runtime_checkable
class _Reads(Protocol):
    """A segmenter of what sentences refer to."""

    def refer(self, sentences: Sequence[str]) -> object: ...

    def __call__(self, image: UInt8Array) -> Segmentation: ...


class Asked:
    """Such a segmenter as :data:`~rsseg_edge.evaluation.referring.Refer`: a sentence may be there twice."""

    def __init__(self, segmenter: _Reads) -> None:
        self._segmenter = segmenter

    def __call__(self, image: UInt8Array, sentences: list[str]) -> list[BoolArray]:
        once = list(dict.fromkeys(sentences))
        self._segmenter.refer(once)
        masks = self._segmenter(image).masks
        assert masks is not None, "of sentences there are masks"
        return [masks[once.index(sentence)] for sentence in sentences]


def open_subject(what: str, long_side: int | None = None, precision: PrecisionName | None = None) -> Segmenter:
    """The segmenter of a shipped bundle, of a bundle's folder, or of a file that rsseg-train wrote.

    Args:
        what: name or path.
        long_side: larger images are scaled down to it, in pixels; None takes the model's own value.
        precision: of a bundle; None takes the one that rsseg-run takes.

    Raises:
        UsageError: there is no such model, or a checkpoint is given where training is not installed.
        RssegError: it is damaged.
    """
    if not what.endswith(CHECKPOINTS):
        return load(what, long_side=long_side, precision=precision)
    _check_checkpoint(what, precision)
    try:
        from rsseg_edge.training.checkpoint import read_model
        from rsseg_edge.training.open_vocabulary.segmenter import load_open_vocabulary_segmenter
        from rsseg_edge.training.predict import load_checkpoint_segmenter
    except ImportError as error:
        raise UsageError(f"a checkpoint needs {error.name}: pip install 'rsseg-edge[train]'") from None
    path = Path(what)
    if read_model(path)[1].model == "segearth-ov-tiny":
        return load_open_vocabulary_segmenter(path, long_side)
    return load_checkpoint_segmenter(path, long_side)


def reads_sentences(what: str) -> bool:
    """Whether a bundle or a checkpoint segments what a sentence refers to, and has no classes.

    Raises:
        UsageError: there is no such model, or a checkpoint is given where training is not installed.
        RssegError: it is damaged.
    """
    if not what.endswith(CHECKPOINTS):
        return open_bundle(what).manifest.task == "referring"
    _check_checkpoint(what)
    try:
        from rsseg_edge.training.checkpoint import read_model
        from rsseg_edge.training.referring.task import is_referring
    except ImportError as error:
        raise UsageError(f"a checkpoint needs {error.name}: pip install 'rsseg-edge[train]'") from None
    return bool(is_referring(read_model(Path(what))[1].model))


def open_referring(what: str, precision: PrecisionName | None = None) -> Refer:
    """What :func:`~rsseg_edge.evaluation.referring.evaluate_referring` asks, of a model that reads sentences.

    Raises:
        UsageError: there is no such model.
        RssegError: it is damaged.
    """
    if not what.endswith(CHECKPOINTS):
        segmenter = load(what, precision=precision)
        assert isinstance(segmenter, _Reads), "the manifest says so"
        return Asked(segmenter)
    _check_checkpoint(what, precision)
    from rsseg_edge.training.referring.predict import TorchReferring
    from rsseg_edge.training.referring.task import load_referring

    refer: Refer = TorchReferring(load_referring(Path(what))[0])
    return refer


def _check_checkpoint(what: str, precision: PrecisionName | None = None) -> None:
    if precision is not None:
        raise UsageError("--precision is for bundles: a checkpoint is as it was trained")
    if not Path(what).is_file():
        raise UsageError(f"there is no checkpoint {what}")
