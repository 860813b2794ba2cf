"""What is evaluated: a bundle through its engine, or a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from rsseg_edge.errors import UsageError
from rsseg_edge.segmenter import Segmenter, load


@runtime_checkable
class TakesClasses(Protocol):
    """A segmenter of an open vocabulary."""

    def set_classes(self, classes: Sequence[str]) -> object:
        """Segment into these, each a string of comma-separated synonyms, the first of which is its name."""


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
        from rsseg_edge.training.checkpoint import read_model
        from rsseg_edge.training.open_vocabulary.segmenter import load_open_vocabulary_segmenter
        from rsseg_edge.training.predict import load_checkpoint_segmenter
    except ImportError as error:
        raise UsageError(f"a checkpoint needs {error.name}: pip install 'rsseg-edge[train]'") from None
    path = Path(what)
    if read_model(path)[1].model == "segearth-ov-tiny":
        return load_open_vocabulary_segmenter(path, long_side)
    return load_checkpoint_segmenter(path, long_side)
