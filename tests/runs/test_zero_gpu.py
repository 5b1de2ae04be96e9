"""A Space that lends a GPU a call at a time: runs keep within the time that they ask for, and go on after it."""

import sys
import time
import types

import pytest

from studio.core.errors import UsageError
from studio.runs import zero_gpu
from studio.runs.zero_gpu import ZeroGpu, lends_gpus
from studio.store import Store
from studio.ui.actions import Actions

SHORT = {
    "method": "finetune/full", "device": "cpu", "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=4"}, "train": {"epochs": 1, "batch_size": 16, "workers": 0},
}  # fmt: skip
LONG = {**SHORT, "train": {**SHORT["train"], "epochs": 100_000}}


class Lender(types.ModuleType):
    """Stands in for the package `spaces` on such a Space: a call that takes longer than it asked for is broken off."""

    def __init__(self):
        super().__init__("spaces")
        self.asked = []

    def GPU(self, duration):  # noqa: N802
        def decorate(task):
            def call(*arguments):
                self.asked.append(duration(*arguments))
                begun = time.monotonic()
                answer = task(*arguments)
                assert time.monotonic() - begun < self.asked[-1], "broken off: the GPU was lent for less"
                return answer

            return call

        return decorate


@pytest.fixture
def lender(monkeypatch):
    stand_in = Lender()
    monkeypatch.setitem(sys.modules, "spaces", stand_in)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    return stand_in


def test_a_short_run_is_worked_on_within_the_call_and_the_next_asks_for_what_it_took(lender, home, monkeypatch):
    monkeypatch.setattr(zero_gpu, "UNKNOWN_S", 100.0)
    monkeypatch.setattr(zero_gpu, "SHORTEST_S", 60.0)  # a slow machine has time to tell that the run is short
    actions = Actions(home)
    run = actions.start(SHORT)
    assert actions.view(run).status == "queued"
    actions.work(run)
    assert actions.view(run).status == "finished"
    actions.work(run)  # nothing is left to do
    again = actions.start(SHORT)
    actions.work(again)
    assert lender.asked == [110, 60]


class ClockOfSteps:
    """A clock that goes on by a tenth of a second with each step that runs have trained, however quick they are."""

    def __init__(self, home):
        self.runs = home.runs

    def steps(self):
        return sum(events.read_text().count('"what": "training"') for events in self.runs.glob("*/events.jsonl"))

    def monotonic(self):
        return self.steps() / 10


def test_a_long_run_saves_before_its_time_is_over_and_goes_on_in_another_call(lender, home, monkeypatch):
    monkeypatch.setattr(zero_gpu, "LONGEST_S", 100.0)
    monkeypatch.setattr(zero_gpu, "SAVING_S", 99.5)  # half a second of work: five steps
    clock = ClockOfSteps(home)
    monkeypatch.setattr(zero_gpu, "time", clock)
    actions = Actions(home)
    run = actions.start(LONG)
    actions.work(run)
    assert actions.view(run).status == "stopped"
    before, steps = actions.view(run).done, clock.steps()
    assert before > 0
    actions.resume(run)
    actions.work(run)
    assert actions.view(run).status == "stopped" and actions.view(run).done > before and clock.steps() > steps + 5
    assert lender.asked == [100, 100]


def test_what_is_wrong_is_told_by_the_run(lender, home):
    actions = Actions(home)
    run = actions.start({**SHORT, "data": {"train": "builtin:digits?per_class=1"}})
    actions.work(run)
    assert actions.view(run).status == "failed" and actions.view(run).error


def test_elsewhere_no_gpu_is_lent_and_the_package_changes_nothing(monkeypatch, home):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert not lends_gpus() and Actions(home).zero_gpu is None
    pytest.importorskip("spaces", reason="needs: pip install spaces")
    actions = Actions(home)
    actions.zero_gpu = ZeroGpu(home)
    run = actions.start(SHORT)
    actions.work(run)
    assert Store(home).run(run).status() == "finished"
    with pytest.raises(UsageError, match="finished"):
        actions.resume(run)
