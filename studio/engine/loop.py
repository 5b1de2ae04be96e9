"""The one training loop, on Accelerate: every Learner is trained here.

Everything random in step `n` is drawn from generators seeded by (seed, n). So a batch is a pure
function of the step, batches can be prepared ahead in a thread, and a resumed run needs no more than
the step number to go on bit for bit.

A step has the phases that the learner declares, one for most. In each, the batch goes through in parts
that fit the device, every stream cut by its own rows; the gradients are summed, clipped, and move the
optimizers that the phase trains.
"""

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from studio.core.errors import StoppedByUser, StudioError, UsageError
from studio.core.faces import Learner
from studio.core.phases import Optimizer, Phase, Schedule, check_phases, warmup_cosine
from studio.core.procedure import Job
from studio.core.recipe import TrainSection
from studio.core.streams import Drawn, Step, check, leaves, part
from studio.device.manager import MicroBatches, Rewind, TorchProbe
from studio.engine.averages import Average
from studio.engine.ranks import Ranks
from studio.store.state import load_state, save_state

AHEAD = 2  # batches prepared while a step is computed
PROBED = 3  # batches that are timed where training is given minutes
Then = Callable[..., None]
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "sgd": partial(torch.optim.SGD, lr=0.0, momentum=0.9, nesterov=True),  # each group has its own lr
}


class Batches(Protocol):
    """Where batches come from. Those with `waits` of True follow from what is found at the end of the epoch before."""

    steps_per_epoch: int

    def batch(self, step: int) -> Drawn:
        """The batch of one step, a pure function of the step, on the CPU: of each stream that the learner declares."""
        ...


class LossNotFinite(StudioError):
    """The loss became NaN or infinite; training can't go on."""


@dataclass(frozen=True)
class Selection:
    """Which epoch's weights are kept: where the number `name` of `evaluate` is best, those of the last, or of `epoch`.

    The number may need no labels; `lower` is for one of which less is better.
    """

    name: str = "score"
    lower: bool = False
    last: bool = False
    epoch: int | None = None

    def score(self, values: dict[str, float], epoch: int = 0) -> float:
        """Higher is better, for `values` after `epoch`. Raises UsageError where there is no such number."""
        if self.epoch is not None:
            return -abs(epoch - self.epoch)
        if self.name not in values:
            raise UsageError(f"selection: there is no number {self.name!r}; expected one of {', '.join(values)}.")
        return -values[self.name] if self.lower else values[self.name]


BEST = Selection()


@dataclass
class Moving:
    """An optimizer at work: `peaks` are the highest learning rates of its groups."""

    optimizer: torch.optim.Optimizer
    peaks: list[float]
    schedule: Schedule | None

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


@dataclass
class Progress:
    """Where a training stands; all of it is in the resume state."""

    step: int = 0
    best_score: float = -math.inf
    best_epoch: int = -1
    best: dict[str, Tensor] | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    budget: int | None = None  # the steps that train.minutes came to


class Loop:
    """Trains `learner` on `batches`.

    `evaluate()` is called after each epoch and returns named numbers; `selection` says which of them chooses the epoch
    whose weights are kept.
    """

    def __init__(
        self,
        learner: Learner,
        batches: Batches,
        settings: TrainSection,
        job: Job,
        evaluate: Callable[[], dict[str, float]],
        name: str = "",
        selection: Selection = Selection(),
    ) -> None:
        """`name` tells several trainings of one run apart."""
        self.name, self.ranks = name, Ranks()
        self.learner, self.batches, self.settings, self.job, self.evaluate = learner, batches, settings, job, evaluate
        self.total = self._most(batches.steps_per_epoch * settings.epochs)
        self.progress, self.selection = Progress(), selection
        self.accelerator = accelerator_for(job.device, job.precision)
        self.phases, optimizers = learner.phases(), learner.optimizers(settings.lr, settings.weight_decay)
        check_phases(type(learner).__name__, self.phases, optimizers)
        self.moving = {name: self._moving(optimizer) for name, optimizer in optimizers.items()}
        if settings.compile:
            learner.compile()
        self.average = Average.of_trained(learner.module, settings.ema) if settings.ema else None
        self.averages = [Average.within(teacher) for teacher in learner.teachers()]
        self.averages += [self.average] if self.average is not None else []
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

    def _moving(self, declared: Optimizer) -> Moving:
        groups = [group for group in declared.groups if group["params"]]
        make = declared.make or OPTIMIZERS[self.settings.optimizer]
        return Moving(make(groups), [group["lr"] for group in groups], declared.schedule)

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
        if self.settings.minutes and self.settings.epochs:
            if self.progress.budget is None:
                self.progress.budget = self._steps_within(60 * self.settings.minutes)
            self.total = self._most(self.progress.budget)
        if self.learner.starts_solved and self.progress.step == 0:
            self._judge()
        self._announce()
        log_every = 1 if self.job.device == "cpu" else 10
        for step, batch in self._prepared(self.progress.step):
            if self._out_of_patience():
                break
            losses, logged = self._step(Step(step, self.total), batch)
            self.progress.step = step + 1
            if step % log_every == 0 or self.progress.step == self.total:
                self._log(step, losses, logged)
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

    def _announce(self) -> None:
        """Says how long this training is, for whoever works out what it costs (studio.runs.cost)."""
        epoch = self.batches.steps_per_epoch
        planned = self.progress.budget or epoch * self.settings.epochs  # were it not for train.max_steps
        done, what = self.progress.step, f"{self._prefix}training"
        self.job.events.progress(what, done, self.total, planned=planned, epoch=epoch)

    def _most(self, steps: int) -> int:
        return steps if self.settings.max_steps is None else min(steps, self.settings.max_steps)

    def _steps_within(self, seconds: float) -> int:
        """Steps that fit into `seconds` here, judging after each epoch included; nothing has moved afterwards.

        One number of steps, kept in the resume state: from then on the run is as reproducible as any.
        """
        before = {name: tensor.clone() for name, tensor in self.learner.module.state_dict().items()}
        times = []
        for step in range(1 + PROBED):  # the first is slower than the rest: kernels are chosen, memory is fetched
            begun = time.monotonic()
            drawn = check(self.batches.batch(step), self.learner.streams)
            self._gradients(Step(step, self.total), drawn)
            if self.job.device != "cpu":
                torch.accelerator.synchronize()
            times.append(time.monotonic() - begun)
        self.learner.train_mode(False)
        begun = time.monotonic()
        self.evaluate()
        judging = time.monotonic() - begun
        self.learner.module.load_state_dict(before)
        self._in_training = False
        a_step = statistics.median(times[1:])
        steps = max(1, int(seconds / (a_step + judging / self.batches.steps_per_epoch)))
        steps = int(self.ranks.from_first({"steps": float(steps)})["steps"])
        self.job.events.note(
            f"train.minutes: {seconds / 60:g} minutes are about {steps} steps here, or "
            f"{steps / self.batches.steps_per_epoch:.1f} epochs ({a_step:.2f} s a step)."
        )
        return steps

    def keep_selected(self) -> None:
        """Puts the weights of the chosen epoch into the learner; after `run` those of the last are there."""
        if self.progress.best is not None and not self.selection.last:
            self.learner.load_state(self.progress.best)

    def _out_of_patience(self) -> bool:
        history, patience = self.progress.history, self.settings.patience
        if patience is None or not history or history[-1]["epoch"] - self.progress.best_epoch < patience:
            return False
        self.job.events.note(
            f"Stopped early after epoch {history[-1]['epoch']}: no better score for {patience} epochs (train.patience)."
        )
        return True

    def _prepared(self, start: int) -> Iterator[tuple[int, Drawn]]:
        """Global batches, prepared ahead; those that wait for the end of an epoch not beyond it."""
        waits, epoch = getattr(self.batches, "waits", False), self.batches.steps_per_epoch
        with ThreadPoolExecutor(1) as pool:
            waiting, following = deque[Future[Drawn]](), start
            for step in range(start, self.total):
                end = min(self.total, (step // epoch + 1) * epoch) if waits else self.total
                while following < min(step + 1 + AHEAD, end):
                    waiting.append(pool.submit(self.batches.batch, following))
                    following += 1
                yield step, check(waiting.popleft().result(), self.learner.streams)

    def _step(self, at: Step, drawn: Drawn) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One step through all its phases; the losses that were minimised, and the values that are only logged."""
        losses, logged = self._gradients(at, drawn, self._move)
        for average in self.averages:
            average.update(at.step)
        self.learner.moved(at)
        return losses, logged

    def _gradients(
        self, at: Step, drawn: Drawn, then: Then | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The gradient of each phase that is due, and `then` what is done with it; what `_step` returns."""
        if not self._in_training:  # a walk over all modules, so once an epoch
            self.learner.train_mode(True)
            self._in_training = True
        rows = [len(leaf) for leaf in leaves(drawn)]
        batch = self.ranks.share(drawn, self.job.device)
        losses: dict[str, Tensor] = {}
        logged: dict[str, Tensor] = {}
        due = [phase for phase in self.phases if at.step % phase.every == 0 for _ in range(phase.times)]
        for number, phase in enumerate(due):
            minimised, beside = self._phase(phase, number, at, batch, rows, then)
            prefix = f"{phase.name}/" if len(self.phases) > 1 else ""
            losses |= {f"{prefix}{name}": value for name, value in minimised.items()}
            logged |= {f"{prefix}{name}": value for name, value in beside.items()}
        return losses, logged

    def _phase(
        self, phase: Phase, number: int, at: Step, batch: Drawn, rows: list[int], then: Then | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The gradient of what a phase trains, then `then`.

        `rows` are those of each stream's whole batch, over all ranks.
        """
        moving = [self.moving[name] for name in phase.trains]
        trained = [parameter for mover in moving for parameter in mover.parameters]
        count = max(map(len, leaves(batch)))
        losses: dict[str, Tensor] = {}
        logged: dict[str, Tensor] = {}

        def begin() -> None:
            losses.clear()
            logged.clear()
            drawn_from = self.settings.seed * 1_000_003 + at.step + self.ranks.rank * 7_919 + number * 15_485_863
            _seed(self.job.device, drawn_from)

        def again() -> None:
            self.rewind.restore()
            begin()

        def forward_and_backward(cut: slice, _: float) -> None:
            piece, weight = part(batch, cut, min(self.micro.size or count, count), rows)
            with self.accelerator.autocast():
                returned = phase.losses(piece, at)
            minimised, beside = returned if isinstance(returned, tuple) else (returned, {})
            if minimised:
                self.accelerator.backward(sum(minimised.values()) * weight)
            for sums, values in ((losses, minimised), (logged, beside)):
                for name, value in values.items():
                    value = torch.as_tensor(value, device=self.job.device).detach()
                    sums[name] = sums.get(name, 0.0) + value * weight

        self.rewind.mark()
        for mover in moving:
            mover.optimizer.zero_grad()
        begin()
        with self._only(trained):
            self.micro.run(count, forward_and_backward, again)
        self.ranks.sum_gradients(trained)
        if then is not None:
            then(moving, trained, phase.clip or self.settings.clip, at)
        return self.ranks.sum(losses), self.ranks.sum(logged)

    def _move(self, moving: list[Moving], trained: list[nn.Parameter], clip: float, at: Step) -> None:
        """Clips the gradient and steps the optimizers."""
        scaler = getattr(self.accelerator, "scaler", None)
        if scaler is not None:
            for mover in moving:
                scaler.unscale_(mover.optimizer)
        torch.nn.utils.clip_grad_norm_(trained, clip)
        for mover in moving:
            factor = mover.schedule(at) if mover.schedule else self._warmup_cosine(at)
            for group, peak in zip(mover.optimizer.param_groups, mover.peaks, strict=True):
                group["lr"] = peak * factor
            mover.optimizer.step() if scaler is None else scaler.step(mover.optimizer)
        if scaler is not None:
            scaler.update()

    def _warmup_cosine(self, at: Step) -> float:
        return warmup_cosine(at.step, at.total, max(1, min(self.total // 10, self.batches.steps_per_epoch)))

    @contextmanager
    def _only(self, trained: list[nn.Parameter]) -> Iterator[None]:
        """While inside, what other phases train gets no gradient."""
        chosen = set(map(id, trained)) if len(self.moving) > 1 else None
        others = [
            parameter
            for mover in (self.moving.values() if chosen is not None else ())
            for parameter in mover.parameters
            if id(parameter) not in chosen and parameter.requires_grad
        ]
        for parameter in others:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in others:
                parameter.requires_grad_(True)

    def _log(self, step: int, losses: dict[str, Tensor], logged: dict[str, Tensor]) -> None:
        values = {name: float(value) for name, value in losses.items()}
        if not all(map(math.isfinite, values.values())):
            raise LossNotFinite(
                f"The loss is not a number at step {step} ({values}). A smaller train.lr (now {self.settings.lr:g}) "
                "usually helps."
            )
        values |= {name: float(value) for name, value in logged.items() if math.isfinite(value)}
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
            self.learner.judged(values)
            score = self.selection.score(values, epoch)
            if score > progress.best_score:
                progress.best_score, progress.best_epoch = score, epoch
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
            "optimizers": {name: mover.optimizer.state_dict() for name, mover in self.moving.items()},
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
        if "optimizer" in state:  # saved by a version that knew one alone
            state["optimizers"] = dict.fromkeys(self.moving, state["optimizer"])
        for name, mover in self.moving.items():
            mover.optimizer.load_state_dict(state["optimizers"][name])
        if state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.micro.size = state["micro_batch"]
        if self.average is not None and state.get("average"):
            self.average.tensors = {name: t.to(self.job.device) for name, t in state["average"].items()}
        total = self.total if self.progress.budget is None else self._most(self.progress.budget)
        self.job.events.note(f"Goes on from step {self.progress.step} of {total}.")


def accelerator_for(device: str, precision: str) -> Accelerator:
    """An Accelerator on one leased device; precision fp32, fp16 or bf16."""
    AcceleratorState._reset_state(reset_partial_state=True)  # runs of one process may differ in device and precision
    accelerator = Accelerator(
        cpu=device == "cpu", mixed_precision={"fp32": "no"}.get(precision, precision), device_placement=False
    )
    return accelerator


def _seed(device: str, seed: int) -> None:
    """Seeds the generators that a step draws from; that of an accelerator which is not used would note the stack."""
    torch.default_generator.manual_seed(seed) if device == "cpu" else torch.manual_seed(seed)
