"""The one training loop, on Accelerate: every Learner is trained here.

Everything random in step `n` is drawn from generators seeded by (seed, n). So a batch is a pure
function of the step, batches can be prepared ahead in a thread, and a resumed run needs no more than
the step number to go on bit for bit.
"""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor

from studio.core.device import MicroBatches, Rewind, TorchProbe
from studio.core.errors import StoppedByUser, StudioError
from studio.core.faces import Learner
from studio.core.procedure import Job
from studio.core.recipe import TrainSection
from studio.store.state import load_state, save_state

AHEAD = 2  # batches prepared while a step is computed


class Batches(Protocol):
    """Where batches come from."""

    steps_per_epoch: int

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of one step, a pure function of the step; tensors on the CPU, first axis is the batch."""
        ...


class LossNotFinite(StudioError):
    """The loss became NaN or infinite; training can't go on."""


@dataclass
class Progress:
    """Where a training stands; all of it is in the resume state."""

    step: int = 0
    best_score: float = -math.inf
    best_epoch: int = -1
    best: dict[str, Tensor] | None = None
    history: list[dict[str, float]] = field(default_factory=list)


class Loop:
    """Trains `learner` on `batches`.

    `evaluate()` is called after each epoch and returns named numbers; the one named `score` (higher is
    better) chooses the epoch whose weights are kept.
    """

    def __init__(
        self,
        learner: Learner,
        batches: Batches,
        settings: TrainSection,
        job: Job,
        evaluate: Callable[[], dict[str, float]],
    ) -> None:
        self.learner, self.batches, self.settings, self.job, self.evaluate = learner, batches, settings, job, evaluate
        self.total = batches.steps_per_epoch * settings.epochs
        if settings.max_steps is not None:
            self.total = min(self.total, settings.max_steps)
        self.progress = Progress()
        self.accelerator = accelerator_for(job.device, job.precision)
        groups = [group for group in learner.param_groups(settings.lr, settings.weight_decay) if group["params"]]
        self.peak_lrs = [group["lr"] for group in groups]
        self.trained = [parameter for group in groups for parameter in group["params"]]
        learner.module, self.optimizer = self.accelerator.prepare(learner.module, torch.optim.AdamW(groups))
        self.micro = MicroBatches(TorchProbe(), job.device, job.events.warning, learner.module)
        self.rewind = Rewind(learner.module)
        self._saved_at = time.monotonic()

    def run(self) -> Progress:
        """Trains from where the run stands to its end.

        Raises StoppedByUser (after saving) and LossNotFinite.
        """
        if self.job.resume:
            self._restore()
        log_every = 1 if self.job.device == "cpu" else 10
        for step, batch in self._prepared(self.progress.step):
            loss = self._step(step, batch)
            self.progress.step = step + 1
            if step % log_every == 0 or self.progress.step == self.total:
                self._log(step, loss)
            if self._epoch_ended():
                self._judge()
            self._save_if_due()
            if self.progress.step < self.total and self.job.should_stop():
                self._save()
                raise StoppedByUser(
                    f"Stopped after step {self.progress.step} of {self.total}; resume goes on from there."
                )
        return self.progress

    def _prepared(self, start: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
        with ThreadPoolExecutor(1) as pool:
            waiting = [pool.submit(self.batches.batch, step) for step in range(start, min(start + AHEAD, self.total))]
            for step in range(start, self.total):
                batch = waiting.pop(0).result()
                if step + AHEAD < self.total:
                    waiting.append(pool.submit(self.batches.batch, step + AHEAD))
                yield step, {name: tensor.to(self.job.device, non_blocking=True) for name, tensor in batch.items()}

    def _step(self, step: int, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        warm = max(1, min(self.total // 10, self.batches.steps_per_epoch))
        for group, peak in zip(self.optimizer.param_groups, self.peak_lrs, strict=True):
            group["lr"] = peak * warmup_cosine(step, self.total, warm)
        self.learner.train_mode(True)
        sums: dict[str, Tensor] = {}

        def reset() -> None:
            sums.clear()
            self.rewind.restore()
            torch.manual_seed(self.settings.seed * 1_000_003 + step)

        def part(rows: slice, weight: float) -> None:
            with self.accelerator.autocast():
                losses = self.learner.losses({name: tensor[rows] for name, tensor in batch.items()})
            self.accelerator.backward(sum(losses.values()) * weight)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.detach() * weight

        self.rewind.mark()
        reset()
        self.micro.run(len(next(iter(batch.values()))), part, reset)
        self.accelerator.clip_grad_norm_(self.trained, self.settings.clip)
        self.optimizer.step()
        return sums

    def _log(self, step: int, losses: dict[str, Tensor]) -> None:
        values = {name: float(value) for name, value in losses.items()}
        if not all(map(math.isfinite, values.values())):
            raise LossNotFinite(
                f"The loss is not a number at step {step} ({values}). The weights of the last good epoch are kept. "
                f"A smaller train.lr (now {self.settings.lr:g}) usually helps."
            )
        for name, value in values.items():
            self.job.events.scalar(f"train/{name}", value, step)
        self.job.events.progress("training", step + 1, self.total)

    def _epoch_ended(self) -> bool:
        return self.progress.step % self.batches.steps_per_epoch == 0 or self.progress.step == self.total

    def _judge(self) -> None:
        """Evaluates, and keeps the weights where they are the best so far."""
        progress = self.progress
        epoch = math.ceil(progress.step / self.batches.steps_per_epoch)
        self.learner.train_mode(False)
        values = self.evaluate()
        for name, value in values.items():
            self.job.events.scalar(f"val/{name}", value, progress.step)
        progress.history.append({"epoch": epoch, **values})
        if values["score"] > progress.best_score:
            progress.best_score, progress.best_epoch = values["score"], epoch
            progress.best = {name: tensor.detach().cpu().clone() for name, tensor in self.learner.state().items()}

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved_at >= self.settings.checkpoint_every_s:
            self._save()

    def _save(self) -> None:
        scaler = getattr(self.accelerator, "scaler", None)
        state = {
            "module": self.accelerator.unwrap_model(self.learner.module).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
            "progress": vars(self.progress),
            "micro_batch": self.micro.size,
        }
        save_state(self.job.folder / "state", state)
        self._saved_at = time.monotonic()

    def _restore(self) -> None:
        state: dict[str, Any] | None = load_state(self.job.folder / "state", on_damage=self.job.events.warning)
        if state is None:
            self.job.events.note("There is no saved state yet; the run begins from its start.")
            return
        self.accelerator.unwrap_model(self.learner.module).load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.micro.size = state["micro_batch"]
        self.job.events.note(f"Goes on from step {self.progress.step} of {self.total}.")


def warmup_cosine(step: int, total: int, warm: int) -> float:
    """Learning-rate factor in 0..1: linear up over `warm` steps, then half a cosine down to 0."""
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def accelerator_for(device: str, precision: str) -> Accelerator:
    """An Accelerator on one leased device; precision fp32, fp16 or bf16."""
    AcceleratorState._reset_state(reset_partial_state=True)  # runs of one process may differ in device and precision
    accelerator = Accelerator(
        cpu=device == "cpu", mixed_precision={"fp32": "no"}.get(precision, precision), device_placement=False
    )
    return accelerator
