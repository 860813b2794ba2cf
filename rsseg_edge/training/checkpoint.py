"""What a run leaves: ``last.ckpt`` to go on from, and ``model.safetensors`` to evaluate and export."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.training.task import SemanticTask, Task, build_task
from rsseg_edge.types import ClassTable

LAST = "last.ckpt"
MODEL = "model.safetensors"


@dataclass(frozen=True)
class TrainedModel:
    """A network as trained, with what is known about it.

    Attributes:
        model: its name, as ``rsseg-train`` takes it.
        classes: names and colours in the order of its outputs; None where it has no classes of its own.
        record: data, split, recipe, seed, steps, scores: what the model card repeats.
    """

    model: str
    classes: ClassTable | None
    record: dict[str, Any]

    @property
    def table(self) -> ClassTable:
        """The classes of a model that has some.

        Raises:
            UsageError: it has none.
        """
        if self.classes is None:
            raise UsageError(f"a {self.model} has no classes of its own")
        return self.classes


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place: a kill leaves the old or the new one.

    Raises:
        RssegError: the disk is full or the folder not writable; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise RssegError(f"cannot write {path}: {str(error).splitlines()[0]}; the earlier file is untouched") from None


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Everything that a resumed run needs, as tensors and plain values."""
    write_atomically(path, lambda temporary: torch.save(state, temporary))


def load_state(path: Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote.

    Raises:
        RssegError: the file is damaged, or holds more than tensors and plain values.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load compares no checksums
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(damaged)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises pickle, zip and runtime errors alike
        raise RssegError(
            f"checkpoint {path} cannot be read ({type(error).__name__}); remove it to begin anew"
        ) from None
    return state


def save_model(path: Path, task: Task, trained: TrainedModel) -> None:
    """Weights of the network with their description in the file's header."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in task.network.state_dict().items()}
    table = trained.classes
    header = {
        "model": trained.model,
        "classes": json.dumps([[n, *c] for n, c in zip(table.names, table.colors, strict=True)] if table else []),
        "record": json.dumps(trained.record),
    }
    write_atomically(path, lambda temporary: safetensors.torch.save_file(weights, temporary, header))


def read_model(path: Path) -> tuple[dict[str, Tensor], TrainedModel]:
    """Weights and description of a ``model.safetensors``.

    Raises:
        UsageError: there is no such file.
        RssegError: it is damaged, or not one of ours.
    """
    if not path.is_file():
        raise UsageError(f"checkpoint {path}: no such file; rsseg-train writes {MODEL} into its output folder")
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        rows = json.loads(header["classes"])
        classes = ClassTable(tuple(r[0] for r in rows), tuple((r[1], r[2], r[3]) for r in rows)) if rows else None
        trained = TrainedModel(header["model"], classes, json.loads(header["record"]))
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, IndexError) as error:
        raise RssegError(f"checkpoint {path} is not a model that rsseg-train wrote ({type(error).__name__})") from None
    return weights, trained


def load_model(path: Path) -> tuple[SemanticTask, TrainedModel]:
    """Rebuild the network of a semantic model's ``model.safetensors``, in evaluation mode.

    Raises:
        UsageError: there is no such file, or it is of another kind of model.
        RssegError: it is damaged, or not one of ours.
    """
    weights, trained = read_model(path)
    table = trained.table
    task = build_task(trained.model, table, text=weights.get("text", torch.zeros(len(table), 1)))
    fill(task.network, weights, path, trained.model)
    return task.eval(), trained


def fill(network: nn.Module, weights: Mapping[str, Tensor], path: Path, model: str) -> None:
    """Give a network the weights that were read from a file.

    Raises:
        RssegError: they are of another network than ``model``.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise RssegError(f"checkpoint {path} does not fit {model}: {detail}") from None
