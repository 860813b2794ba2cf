"""The training loop: one CPU, one GPU, or DDP under torchrun, with the same code."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.training.checkpoint import LAST, MODEL, TrainedModel, load_state, save_model, save_state
from rsseg_edge.training.history import History
from rsseg_edge.training.recipe import Recipe
from rsseg_edge.training.task import Task
from rsseg_edge.types import ClassTable

AnyTask = TypeVar("AnyTask", bound=Task)


class BatchSource(Protocol):
    """Where batches come from. A batch follows from the source's seed and the step alone: a run resumes exactly."""

    def batches(self, size: int, start: int, stop: int, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, ...]]:
        """Batches of the steps ``start`` to ``stop``, for process ``rank`` of ``world`` that share each."""


@dataclass(frozen=True)
class Run:
    """Everything that a run consists of.

    Attributes:
        model: name of the model, for the saved files.
        recipe: optimisation.
        seed: crops, weights and sampled points follow from it.
        folder: where ``last.ckpt``, ``model.safetensors``, ``log.csv`` and ``curves.png`` go.
        record: what the saved model says of its origin.
        classes: what the model tells apart; None where it has no classes of its own.
        metric: what validation measures.
    """

    model: str
    recipe: Recipe
    seed: int
    folder: Path
    record: dict[str, Any]
    classes: ClassTable | None = None
    metric: str = "mIoU"


def train(
    fabric: Fabric,
    run: Run,
    task: AnyTask,
    source: BatchSource,
    validate: Callable[[AnyTask], float],
    *,
    resume: bool = True,
    progress: Callable[[int, float, float | None], None] = lambda step, loss, miou: None,
) -> AnyTask:
    """Train to the recipe's last step and return the averaged network.

    A run whose folder holds a checkpoint goes on from it, with the same batches and the same random numbers as if it
    had never stopped.

    Args:
        fabric: launched; says where and in what precision.
        run: see :class:`Run`.
        task: freshly built.
        source: gives the task's batches.
        validate: the metric of a task, 0..1, higher is better; run by the first process.
        resume: go on from the folder's checkpoint, if there is one.
        progress: told the step, its loss, and the metric where it was validated.

    Raises:
        UsageError: the checkpoint in the folder belongs to another run.
        RssegError: the loss is no longer finite, or a file cannot be read or written.
    """
    recipe = run.recipe
    if recipe.batch % fabric.world_size:
        raise UsageError(f"a batch of {recipe.batch} cannot be shared by {fabric.world_size} processes")
    if fabric.world_size > 1 and fabric.device.type == "cuda":  # on a CPU each process keeps its own statistics
        task = synchronised(task)
    task = task.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(task, avg_fn=_moving_average(recipe.ema), use_buffers=True)
    model, optimizer = fabric.setup(task, _optimizer(task, recipe))
    averaged = cast(AnyTask, average.module)
    average.to(fabric.device)
    scaler = getattr(fabric.strategy.precision, "scaler", None)  # of 16-mixed alone
    parts = {"task": task, "optimizer": optimizer, "average": average} | ({"scaler": scaler} if scaler else {})
    identity = {
        "model": run.model,
        "recipe": recipe.model_dump_json(),
        "seed": run.seed,
        "data": [run.record.get("data"), *(run.classes.names if run.classes else ())],
    }
    last = run.folder / LAST
    start = _restore(last, identity, parts) if resume and last.is_file() else 0
    history = History(run.folder, start, run.metric) if fabric.is_global_zero else None
    batches = source.batches(recipe.batch, start, recipe.steps, fabric.global_rank, fabric.world_size)
    for step, batch in enumerate(batches, start + 1):
        began = time.perf_counter()
        torch.manual_seed(_mix(run.seed, step, fabric.global_rank))  # sampled points: a resumed step draws the same
        lr = _learning_rate(recipe, step)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["factor"]
        terms = model(*(fabric.to_device(_as_convolved(part)) for part in batch))
        loss: Tensor = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss)
        norm = fabric.clip_gradients(model, optimizer, max_norm=recipe.clip, error_if_nonfinite=False)
        optimizer.step()
        average.update_parameters(task)
        mean_loss = float(fabric.all_reduce(loss.detach(), reduce_op="mean"))
        _check_finite(step, mean_loss, None if scaler else norm)
        seconds = time.perf_counter() - began
        done = step == recipe.steps
        score = None
        if fabric.is_global_zero and history is not None:
            if done or step % recipe.validate_every == 0:
                score = validate(averaged.eval())
            history.add(step, mean_loss, lr, seconds, score)
            if score is not None:
                trained = TrainedModel(run.model, run.classes, run.record | {"steps": step, run.metric: score})
                save_model(run.folder / MODEL, averaged, trained)
                history.draw()
            # Last: a run that is killed between the two files does this step again, and writes both.
            if done or score is not None or step % recipe.checkpoint_every == 0:
                state = {name: part.state_dict() for name, part in parts.items()}
                save_state(last, {"identity": identity, "step": step, **state})
            progress(step, mean_loss, score)
        fabric.barrier()
    return averaged.eval()


def _as_convolved(part: Tensor) -> Tensor:
    # Convolutions run fastest on channels-last images; everything else is left as it is.
    return part.contiguous(memory_format=torch.channels_last) if part.ndim == 4 else part


def _optimizer(task: Task, recipe: Recipe) -> torch.optim.Optimizer:
    groups = _groups(task, recipe)
    if recipe.optimizer == "nadam":
        return torch.optim.NAdam(groups, lr=recipe.lr, decoupled_weight_decay=True)
    return torch.optim.AdamW(groups, lr=recipe.lr)


def _groups(task: Task, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameter groups: what is pretrained learns slower; biases, norms and embeddings do not decay."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in task.named_parameters():
        slow = any(f".{part}." in f".{name}" for part in task.pretrained)
        key = (slow, parameter.ndim > 1 and "position" not in name and "level" not in name)
        groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "factor": recipe.backbone_lr if slow else 1.0,
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for (slow, decays), parameters in groups.items()
    ]


def _learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine to a hundredth. Steps count from 1."""
    if step <= recipe.warmup:
        return recipe.lr * step / recipe.warmup
    gone = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * gone)))


def _moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    def update(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        # What does not change is not averaged: between -inf, as attention masks have it, and itself lies no number.
        if not averaged.is_floating_point() or torch.equal(averaged, current):
            return current
        warm = min(decay, (1 + int(count)) / (10 + int(count)))  # the first steps must not weigh for thousands
        return torch.lerp(current, averaged, warm)

    return update


def _mix(seed: int, step: int, rank: int) -> int:
    return (seed * 1_000_003 + step) * 1_009 + rank


def _check_finite(step: int, loss: float, gradient_norm: Tensor | None) -> None:
    # Before anything is saved: weights that are not numbers must not replace a checkpoint that is sound. A gradient
    # scaler (no norm given) skips such steps by itself.
    for name, value in (("loss", loss), ("gradient", 0.0 if gradient_norm is None else float(gradient_norm))):
        if not math.isfinite(value):
            raise RssegError(f"the {name} became {value} at step {step}: lower the learning rate (--lr)")


def synchronised(task: AnyTask) -> AnyTask:
    """The task with batch statistics over all processes, so that a global batch is one batch. Frozen ones stay."""
    from timm.layers import convert_sync_batchnorm  # unlike torch's, it keeps the activations inside timm's norms

    converted: AnyTask = convert_sync_batchnorm(task)
    return converted


def _restore(path: Path, identity: dict[str, Any], parts: dict[str, Any]) -> int:
    """Load the parts' states and return the step that they are of."""
    state = load_state(path)
    try:
        said = dict(state["identity"])
        if "recipe" in said:  # of an older version it may lack entries, which then have their defaults
            said["recipe"] = Recipe.model_validate_json(said["recipe"]).model_dump_json()
        # What an older checkpoint does not say is not held against it.
        differ = [name for name, value in identity.items() if said.get(name, value) != value]
        if differ:
            raise UsageError(
                f"{path} belongs to another run ({' and '.join(differ)} differ): choose another folder with -o, "
                f"or begin anew with --restart"
            )
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return int(state["step"])
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise RssegError(
            f"checkpoint {path} does not hold a run of this model ({type(error).__name__}); begin anew with --restart"
        ) from None
