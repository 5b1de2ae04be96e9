"""The one training loop, on Accelerate: every Learner is trained here.

Everything random in step `n` is drawn from generators seeded by (seed, n). So a batch is a pure
function of the step, batches can be prepared ahead in a thread, and a resumed run needs no more than
the step number to go on bit for bit.
"""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor

from studio.core.errors import StoppedByUser, StudioError
from studio.core.faces import Learner
from studio.core.procedure import Job
from studio.core.recipe import TrainSection
from studio.device.manager import MicroBatches, Rewind, TorchProbe
from studio.engine.averages import Average
from studio.engine.ranks import Ranks
from studio.store.state import load_state, save_state

AHEAD = 2  # batches prepared while a step is computed
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "sgd": partial(torch.optim.SGD, lr=0.0, momentum=0.9, nesterov=True),  # each group has its own lr
}


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
        name: str = "",
    ) -> None:
        """`name` tells several trainings of one run apart."""
        self.name, self.ranks = name, Ranks()
        self.learner, self.batches, self.settings, self.job, self.evaluate = learner, batches, settings, job, evaluate
        self.total = batches.steps_per_epoch * settings.epochs
        if settings.max_steps is not None:
            self.total = min(self.total, settings.max_steps)
        self.progress = Progress()
        self.accelerator = accelerator_for(job.device, job.precision)
        groups = [group for group in learner.param_groups(settings.lr, settings.weight_decay) if group["params"]]
        self.peak_lrs = [group["lr"] for group in groups]
        self.trained = [parameter for group in groups for parameter in group["params"]]
        self.optimizer = self.accelerator.prepare(OPTIMIZERS[settings.optimizer](groups))
        if settings.compile:
            learner.compile()
        self.average = Average(learner.module, settings.ema) if settings.ema else None
        self.micro = MicroBatches(TorchProbe(), job.device, job.events.warning, learner.module, settings.micro_batch)
        self.rewind = Rewind(learner.module)
        self._in_training = False
        self._saved_at = time.monotonic()

    @property
    def state_folder(self) -> Path:
        """Where the resume state of this training is."""
        return self.job.folder / "state" / self.name

    @property
    def _prefix(self) -> str:
        return f"{self.name}/" if self.name else ""

    def run(self, keep: Callable[[float], str] | None = None) -> Progress:
        """Trains from where the run stands to its end.

        Raises StoppedByUser (after saving) and LossNotFinite; before that, `keep(score)` makes a checkpoint of the
        learner, which holds the weights of the best epoch again, and returns its id.
        """
        try:
            return self._run()
        except LossNotFinite as broken:
            progress = self.progress
            if keep is None or progress.best is None or self.ranks.rank > 0:
                raise
            self.learner.load_state(progress.best)
            kept = keep(progress.best_score)
            self.job.events.emit("checkpoint", checkpoint=kept, role="last-good")
            words = f"{broken} The weights after epoch {progress.best_epoch} are kept as checkpoint {kept}."
            raise LossNotFinite(words, checkpoint=kept) from None

    def _run(self) -> Progress:
        if self.job.resume:
            self._restore()
        if self.learner.starts_solved and self.progress.step == 0:
            self._judge()
        log_every = 1 if self.job.device == "cpu" else 10
        for step, batch in self._prepared(self.progress.step):
            if self._out_of_patience():
                break
            loss = self._step(step, batch)
            self.progress.step = step + 1
            if step % log_every == 0 or self.progress.step == self.total:
                self._log(step, loss)
            if self._epoch_ended():
                self._judge()
            self._save_if_due()
            if self.progress.step < self.total and self.ranks.any(self.job.should_stop()):
                self._save()
                raise StoppedByUser(
                    f"Stopped after step {self.progress.step} of {self.total}; resume goes on from there."
                )
        if self.average is not None:
            self.average.load(self.average.tensors)
        return self.progress

    def _out_of_patience(self) -> bool:
        history, patience = self.progress.history, self.settings.patience
        if patience is None or not history or history[-1]["epoch"] - self.progress.best_epoch < patience:
            return False
        self.job.events.note(
            f"Stopped early after epoch {history[-1]['epoch']}: no better score for {patience} epochs (train.patience)."
        )
        return True

    def _prepared(self, start: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
        with ThreadPoolExecutor(1) as pool:
            waiting = [pool.submit(self.batches.batch, step) for step in range(start, min(start + AHEAD, self.total))]
            for step in range(start, self.total):
                batch = waiting.pop(0).result()
                if step + AHEAD < self.total:
                    waiting.append(pool.submit(self.batches.batch, step + AHEAD))
                mine = {name: self.ranks.share(tensor) for name, tensor in batch.items()}
                yield step, {name: tensor.to(self.job.device, non_blocking=True) for name, tensor in mine.items()}

    def _step(self, step: int, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        warm = max(1, min(self.total // 10, self.batches.steps_per_epoch))
        for group, peak in zip(self.optimizer.param_groups, self.peak_lrs, strict=True):
            group["lr"] = peak * warmup_cosine(step, self.total, warm)
        if not self._in_training:  # a walk over all modules, so once an epoch
            self.learner.train_mode(True)
            self._in_training = True
        sums: dict[str, Tensor] = {}

        def begin() -> None:
            sums.clear()
            torch.manual_seed(self.settings.seed * 1_000_003 + step + self.ranks.rank * 7_919)

        def again() -> None:
            self.rewind.restore()
            begin()

        def part(rows: slice, weight: float) -> None:
            with self.accelerator.autocast():
                losses = self.learner.losses({name: tensor[rows] for name, tensor in batch.items()})
            self.accelerator.backward(sum(losses.values()) * weight)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.detach() * weight

        self.rewind.mark()
        self.optimizer.zero_grad()
        begin()
        count = len(next(iter(batch.values())))
        self.micro.run(count, part, again)
        self.ranks.average_gradients(self.trained, count)
        self.accelerator.clip_grad_norm_(self.trained, self.settings.clip)
        self.optimizer.step()
        self.learner.after_step()
        if self.average is not None:
            self.average.update(step)
        return self.ranks.average(sums, count)

    def _log(self, step: int, losses: dict[str, Tensor]) -> None:
        values = {name: float(value) for name, value in losses.items()}
        if not all(map(math.isfinite, values.values())):
            raise LossNotFinite(
                f"The loss is not a number at step {step} ({values}). A smaller train.lr (now {self.settings.lr:g}) "
                "usually helps."
            )
        for name, value in values.items():
            self.job.events.scalar(f"{self._prefix}train/{name}", value, step)
        self.job.events.progress(f"{self._prefix}training", step + 1, self.total)

    def _epoch_ended(self) -> bool:
        return self.progress.step % self.batches.steps_per_epoch == 0 or self.progress.step == self.total

    def _judge(self) -> None:
        """Evaluates, and keeps the weights where they are the best so far."""
        progress = self.progress
        epoch = math.ceil(progress.step / self.batches.steps_per_epoch)
        self.learner.train_mode(False)
        self._in_training = False
        with self.average.applied() if self.average is not None else nullcontext():
            values = self.ranks.from_first(self.evaluate())
            for name, value in values.items():
                self.job.events.scalar(f"{self._prefix}val/{name}", value, progress.step)
            progress.history.append({"epoch": epoch, **values})
            if values["score"] > progress.best_score:
                progress.best_score, progress.best_epoch = values["score"], epoch
                progress.best = {name: tensor.detach().cpu().clone() for name, tensor in self.learner.state().items()}

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved_at >= self.settings.checkpoint_every_s:
            self._save()

    def _save(self) -> None:
        if self.ranks.rank > 0:
            return
        scaler = getattr(self.accelerator, "scaler", None)
        state = {
            "module": self.learner.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
            "progress": vars(self.progress),
            "micro_batch": self.micro.size,
            "average": self.average.tensors if self.average is not None else None,
        }
        save_state(self.state_folder, state)
        self._saved_at = time.monotonic()

    def _restore(self) -> None:
        state: dict[str, Any] | None = load_state(self.state_folder, on_damage=self.job.events.warning)
        if state is None:
            self.job.events.note("There is no saved state yet; the run begins from its start.")
            return
        self.learner.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.micro.size = state["micro_batch"]
        if self.average is not None and state.get("average"):
            self.average.tensors = {name: t.to(self.job.device) for name, t in state["average"].items()}
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
