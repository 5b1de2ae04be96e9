"""Where the seconds of a run went, read from its events: trainings by step and by judgment, stages, the rest.

What a recipe asks for beyond what was seen is then laid on top: more steps, more epochs, the rest of what was broken
off. A throwaway run of a few steps (`studio.runs.probe`) and a whole one of yesterday are read alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

UNJUDGED = 0.2  # of an epoch's training that a judgment is taken for where none was seen
Event = dict[str, Any]


@dataclass
class Training:
    """One training of a run: `planned` steps were it not for train.max_steps, `epoch` of them between judgments."""

    what: str
    planned: int
    epoch: int
    done: int  # steps, as of `last`
    begun: int = -1  # steps, as of `first`
    first: float = 0.0  # seconds since the epoch
    last: float = 0.0
    judged: float = 0.0  # when the last step was judged; 0 where it was not
    judging_s: list[float] = field(default_factory=list)
    between_s: float = 0.0  # of judging that lies between `first` and `last`

    def step(self, event: Event) -> None:
        if self.begun < 0:  # the first step is slower than the rest: it only starts the clock
            self.begun, self.first = event["done"], event["t"]
        elif self.judged:
            self.between_s += self.judged - self.last
        self.done, self.last, self.judged = event["done"], event["t"], 0.0

    def judge(self, event: Event) -> None:
        """Notes the numbers of a judgment, which come one right after the other; that of no step is left out."""
        if self.begun >= 0 and not self.judged:
            self.judging_s.append(event["t"] - self.last)
            self.judged = event["t"]

    @property
    def step_s(self) -> float:
        return max(0.0, self.last - self.first - self.between_s) / max(1, self.done - self.begun)

    @property
    def judge_s(self) -> float:
        seen = self.judging_s
        return sum(seen) / len(seen) if seen else UNJUDGED * self.step_s * self.epoch

    def beyond_s(self, steps: int) -> float:
        """Seconds of a training of `steps` steps, beyond those that were seen."""
        judgments = ceil(steps / self.epoch) - len(self.judging_s)
        return (steps - self.done) * self.step_s + judgments * self.judge_s


@dataclass
class Stage:
    """Something that is counted as it is done, such as `features of train`, `episodes` or `cells`."""

    what: str
    total: int
    begun: int  # items, as of `first`
    done: int  # items, as of `last`
    first: float
    last: float

    @property
    def item_s(self) -> float:
        return (self.last - self.first) / max(1, self.done - self.begun)

    def goes_on(self, done: int) -> bool:
        """Whether a count is the next of it. One that is over begins again, though all of it is there already."""
        return self.done <= done and self.done < self.total


@dataclass
class Timeline:
    """One run as its events tell it. `seconds` is from its begin to its end, or to where it was broken off."""

    seconds: float = 0.0
    status: str = "queued"
    trainings: list[Training] = field(default_factory=list)
    stages: dict[str, Stage] = field(default_factory=dict)
    earlier: list[Stage] = field(default_factory=list)  # those that began again since
    memory_mb: float | None = None

    def whole_s(self, scale: float = 1.0, most: int | None = None, cached: bool = False) -> float:
        """Seconds of such a run to its end: trainings `scale` times as long as planned, of at most `most` steps each.

        `cached`: the features of frozen backbones that were computed here are kept, and not computed again.
        """
        seconds = self.seconds
        for training in self.trainings:
            steps = max(1, round(scale * training.planned))
            seconds += training.beyond_s(min(steps, most or steps))
        if cached:
            stages = (*self.earlier, *self.stages.values())
            seconds -= sum(stage.last - stage.first for stage in stages if stage.what.startswith("features of "))
        if self.status == "finished":
            return max(0.0, seconds)
        if cells := self.stages.get("cells"):  # a table: what is in a cell goes on in the next
            return seconds * cells.total / max(1, cells.done)
        return seconds + sum((stage.total - stage.done) * stage.item_s for stage in self.stages.values())

    @property
    def seen(self) -> bool:
        """Whether anything that lasts was reached."""
        return self.status == "finished" or any(training.done > training.begun >= 0 for training in self.trainings)


def read(events: Sequence[Event]) -> Timeline:
    """The timeline of the last time that a run was worked on; an empty one where it never began."""
    starts = [place for place, event in enumerate(events) if event.get("status") == "running"]
    if not starts:
        return Timeline()
    events = events[starts[-1] :]
    timeline, end = Timeline(), events[-1]
    for event in events:
        if event["kind"] == "progress":
            _count(timeline, event)
        elif event["kind"] == "scalar" and "val/" in event["name"] and timeline.trainings:
            timeline.trainings[-1].judge(event)
        elif event["kind"] == "metrics":
            timeline.memory_mb = event["metrics"].get("peak_memory_mb")
    timeline.status = end.get("status", "running")
    timeline.seconds = end.get("seconds") or end["t"] - events[0]["t"]
    if end.get("device") == "cpu":  # that of the whole process, whatever the task measures
        timeline.memory_mb = end.get("peak_memory_mb", timeline.memory_mb)
    return timeline


def _count(timeline: Timeline, event: Event) -> None:
    what, done, at = event["what"], event["done"], event["t"]
    if "epoch" in event:
        timeline.trainings.append(Training(what, event["planned"], max(1, event["epoch"]), done))
    elif timeline.trainings and timeline.trainings[-1].what == what:
        timeline.trainings[-1].step(event)
    elif (stage := timeline.stages.get(what)) and stage.goes_on(done):
        stage.done, stage.total, stage.last = done, event["total"], at
    else:  # it begins, or begins again in the next cell of a table
        timeline.earlier += [stage] if stage else []
        timeline.stages[what] = Stage(what, event["total"], done, done, at, at)
