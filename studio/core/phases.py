"""How a Learner is trained where more than one loss and one optimizer is wanted: phases, optimizers, teachers.

One phase over all losses is the default, and then nothing of this is written.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from studio.core.errors import UsageError
from studio.core.streams import Step

ALL = "all"  # the name of the one optimizer of a learner that declares none

Schedule = Callable[[Step], float]


@dataclass(frozen=True)
class Optimizer:
    """Parameter groups `{"params": [...], "lr": ..., "weight_decay": ...}` that are moved together.

    `make(groups)` makes a torch optimizer, None: as train.optimizer says. `schedule(at)` is the factor of each group's
    learning rate, None: the loop's warm-up and cosine.
    """

    groups: list[dict[str, Any]]
    make: Callable[[list[dict[str, Any]]], Any] | None = None
    schedule: Schedule | None = None


@dataclass(frozen=True)
class Phase:
    """One part of a step: `losses(batch, at)`, as `Learner.losses`, are minimised by the optimizers named in `trains`.

    Only their parameters get a gradient. It happens at every `every`-th step, `times` over. `clip` is the largest norm
    of the gradient, None: train.clip.
    """

    name: str
    losses: Callable[..., Any]
    trains: tuple[str, ...] = (ALL,)
    every: int = 1
    times: int = 1
    clip: float | None = None


@dataclass(frozen=True)
class Teacher:
    """`module` is the running average of `follows`, a module of the same form; it is part of the learner's module.

    The loop moves it after each step: module = d * module + (1 - d) * follows, d = `decay`, smaller in the first steps
    where `warm`. `buffers`: the statistics too; those that are no floats are copied. Without them statistics are the
    module's own, which follow its batches where its normalisations are in train mode: a backbone in which nothing
    learns is not, unless the learner sees to it.
    """

    module: Any
    follows: Any
    decay: float
    warm: bool = True
    buffers: bool = True


def constant(at: Step) -> float:
    """The learning rate as it is."""
    return 1.0


def inverse_decay(at: Step, alpha: float = 10.0, beta: float = 0.75) -> float:
    """(1 + alpha p) ** -beta. Ganin et al. 2016, section 5.2.2."""
    return (1 + alpha * at.progress) ** -beta


def linear_decay(at: Step, begins: float = 0.5) -> float:
    """1 until the share `begins` of the training, then evenly down to 0. Zhu et al. 2017, section 4."""
    return min(1.0, (1 - at.progress) / (1 - begins))


def warmup_cosine(step: int, total: int, warm: int) -> float:
    """Learning-rate factor in 0..1: linear up over `warm` steps, then half a cosine down to 0."""
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def check_phases(method: str, phases: list[Phase], optimizers: dict[str, Optimizer]) -> None:
    """Raises UsageError where a phase trains what is not declared, or an optimizer is moved by none."""
    named = {name for phase in phases for name in phase.trains}
    if not phases or named != set(optimizers):
        raise UsageError(
            f"{method}: its phases train {sorted(named)}, its optimizers are {sorted(optimizers)}; expected the same."
        )
    if len({phase.name for phase in phases}) < len(phases):
        raise UsageError(f"{method}: two phases have one name ({', '.join(phase.name for phase in phases)}).")
    for phase in phases:
        if phase.every < 1 or phase.times < 1:
            raise UsageError(f"{method}: phase {phase.name} has every {phase.every}, times {phase.times}; both from 1.")
