"""What is evaluated: a bundle through its engine, or a checkpoint."""

from __future__ import annotations

from pathlib import Path

from rsseg_edge.bundle import open_bundle
from rsseg_edge.errors import UsageError
from rsseg_edge.evaluation.referring import Refer
from rsseg_edge.segmenter import Segmenter, load

CHECKPOINTS = (".safetensors", ".pt", ".ckpt")


def open_subject(what: str, long_side: int | None = None) -> Segmenter:
    """The segmenter of a shipped bundle, of a bundle's folder, or of a file that rsseg-train wrote.

    Args:
        what: name or path.
        long_side: larger images are scaled down to it, in pixels; None takes the model's own value.

    Raises:
        UsageError: there is no such model, or a checkpoint is given where training is not installed.
        RssegError: it is damaged.
    """
    if not what.endswith(CHECKPOINTS):
        return load(what, long_side=long_side)
    if not Path(what).is_file():
        raise UsageError(f"there is no checkpoint {what}")
    try:
        from rsseg_edge.training.predict import load_checkpoint_segmenter
    except ImportError as error:
        raise UsageError(f"a checkpoint needs {error.name}: pip install 'rsseg-edge[train]'") from None
    segmenter: Segmenter = load_checkpoint_segmenter(Path(what), long_side)
    return segmenter


def reads_sentences(what: str) -> bool:
    """Whether a bundle or a checkpoint segments what a sentence refers to, and has no classes.

    Raises:
        UsageError: there is no such model, or a checkpoint is given where training is not installed.
        RssegError: it is damaged.
    """
    if not what.endswith(CHECKPOINTS):
        return open_bundle(what).manifest.task == "referring"
    try:
        from rsseg_edge.training.checkpoint import read_model
        from rsseg_edge.training.referring.task import is_referring
    except ImportError as error:
        raise UsageError(f"a checkpoint needs {error.name}: pip install 'rsseg-edge[train]'") from None
    return bool(is_referring(read_model(Path(what))[1].model))


def open_referring(what: str) -> Refer:
    """What :func:`~rsseg_edge.evaluation.referring.evaluate_referring` asks, of a model that reads sentences.

    Raises:
        UsageError: there is no such model.
        RssegError: it is damaged.
    """
    if not what.endswith(CHECKPOINTS):
        raise UsageError(f"{what}: bundles that read sentences cannot be measured yet; give the checkpoint")
    from rsseg_edge.training.referring.predict import TorchReferring
    from rsseg_edge.training.referring.task import load_referring

    refer: Refer = TorchReferring(load_referring(Path(what))[0])
    return refer
