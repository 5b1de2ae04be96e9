"""Streams, phases, teachers and ranks in the one loop, shown on DANN, MCD and a toy CycleGAN."""

import json
import math
import multiprocessing
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from toy_learners import LEARNERS, ToyBatches, made

from studio.core.errors import StoppedByUser, StudioError, UsageError
from studio.core.events import EventWriter
from studio.core.faces import Learner
from studio.core.home import Home
from studio.core.phases import Optimizer, Phase, Teacher
from studio.core.procedure import Job
from studio.core.recipe import Recipe
from studio.core.streams import Batch, Source, Sources, Step, Stream, StreamBatches, Target, check, part
from studio.engine.loop import Loop, Selection
from studio.engine.reversal import reverse
from studio.store.state import load_state, save_state

FORK = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
if sys.platform != "win32":
    FORK.set_forkserver_preload(["studio.engine.loop", "toy_learners"])


def loop_of(learner, batches, folder: Path, resume=False, evaluate=lambda: {"score": 0.0}, selection=None, **train):
    folder.mkdir(parents=True, exist_ok=True)
    train = {"epochs": 3, "lr": 0.02, "weight_decay": 0.0, **train}
    recipe, home = Recipe(train=train), Home.find(folder / "home")
    events = EventWriter(folder / "events.jsonl")
    job = Job(recipe, learner, home, None, events, folder, "toy", "cpu", "fp32", resume=resume)
    return Loop(learner, batches, recipe.train, job, evaluate, selection=selection or Selection())


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """Values by name and step; of a step done again after a resume, the last."""
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines if line.endswith("}")]
    return {
        (event["name"], event["step"]): event["value"]
        for event in events
        if event["kind"] == "scalar" and event["name"].startswith("train/")
    }


def trained(name: str, folder: Path, **train) -> tuple[Learner, dict[tuple[str, int], float]]:
    learner = made(name)
    loop_of(learner, ToyBatches.of(learner), folder, **train).run()
    return learner, scalars(folder)


def curve(values: dict[tuple[str, int], float], name: str) -> list[float]:
    return [value for (key, _), value in sorted(values.items(), key=lambda row: row[0][1]) if key == f"train/{name}"]


@pytest.mark.parametrize(
    ("name", "loss"), [("dann", "classify"), ("mcd", "classify/one"), ("cyclegan", "generate/cycle")]
)
def test_the_loss_falls(tmp_path, name, loss):
    learner, values = trained(name, tmp_path, epochs=6)
    losses = curve(values, loss)
    assert len(losses) == 60 and sum(losses[-5:]) < 0.6 * sum(losses[:5])
    if name == "cyclegan":
        images = ToyBatches.of(learner).batch(0).photos.images
        assert learner.predict(images).shape == images.shape  # an image for an image, no scores


def test_the_coefficient_grows_by_its_schedule_and_logged_values_move_nothing(tmp_path):
    learner, values = trained("dann", tmp_path / "one")
    ramp = curve(values, "ramp")
    assert ramp == pytest.approx([2 / (1 + math.exp(-10 * step / 30)) - 1 for step in range(30)], abs=1e-6)
    assert all(0 <= value <= 1 for value in curve(values, "target_said_right"))
    silent = made("dann")
    with_logged = silent.losses
    silent.losses = lambda batch, at: with_logged(batch, at)[0]
    loop_of(silent, ToyBatches.of(silent), tmp_path / "two").run()
    assert all(
        torch.equal(one, two) for one, two in zip(*(x.module.parameters() for x in (learner, silent)), strict=True)
    )


@pytest.mark.parametrize("name", LEARNERS)
def test_minutes_become_steps_once_and_timing_them_moves_nothing(tmp_path, name, monkeypatch):
    monkeypatch.setattr("studio.engine.loop.Loop._most", lambda self, steps: min(steps, 12))  # of any machine
    _, timed = trained(name, tmp_path / "timed", minutes=1)
    _, counted = trained(name, tmp_path / "counted", epochs=100)
    assert timed == counted and max(step for _, step in timed) == 11
    learner = made(name)
    loop = loop_of(learner, ToyBatches.of(learner), tmp_path / "cut", minutes=1, checkpoint_every_s=0)
    loop.job.should_stop = lambda: loop.progress.step == 5
    with pytest.raises(StoppedByUser):
        loop.run()
    learner = made(name)
    resumed = loop_of(learner, ToyBatches.of(learner), tmp_path / "cut", resume=True, minutes=1)
    resumed._steps_within = None  # a resumed run does not time anything again
    resumed.run()
    assert scalars(tmp_path / "cut") == timed and resumed.progress.budget == loop.progress.budget
    assert "Goes on from step 5 of 12." in next((tmp_path / "cut").rglob("events.jsonl")).read_text()


def test_more_minutes_are_more_steps(tmp_path, monkeypatch):
    ticks = iter(range(10_000))
    monkeypatch.setattr("studio.engine.loop.time.monotonic", lambda: float(next(ticks)))  # a second a look
    learner = made("dann")
    loop = loop_of(learner, ToyBatches.of(learner), tmp_path)
    judging = 1 / loop.batches.steps_per_epoch
    expected = [int(seconds / (1 + judging)) for seconds in (60, 120)]
    assert [loop._steps_within(seconds) for seconds in (60, 120)] == expected
    assert "1 minutes are about" in (tmp_path / "events.jsonl").read_text()


def test_a_state_saved_when_there_was_one_optimizer_still_resumes(tmp_path):
    _, whole = trained("dann", tmp_path / "whole")
    learner = made("dann")
    loop = loop_of(learner, ToyBatches.of(learner), tmp_path / "cut", checkpoint_every_s=1e9)
    loop.job.should_stop = lambda: loop.progress.step == 10
    with pytest.raises(StoppedByUser):
        loop.run()
    state = load_state(loop.state_folder)
    (state["optimizer"],) = state.pop("optimizers").values()
    save_state(loop.state_folder, state)
    learner = made("dann")
    loop_of(learner, ToyBatches.of(learner), tmp_path / "cut", resume=True).run()
    assert scalars(tmp_path / "cut") == whole


@pytest.mark.parametrize("size", [6, 4, 1])
@pytest.mark.parametrize("name", LEARNERS)
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(tmp_path, name, size):
    """11 rows beside 5: no part divides both evenly, and with parts of one row a stream's rows come in several."""
    gradients = []
    for folder, micro_batch in (("whole", None), ("parts", size)):
        learner = made(name).__class__()
        torch.manual_seed(0)
        learner.setup(None)
        learner.module.double()
        loop = loop_of(
            learner, Doubled(ToyBatches.of(learner)), tmp_path / folder, max_steps=1, micro_batch=micro_batch
        )
        seen: list[torch.Tensor] = []
        loop._move = lambda moving, parameters, clip, at, seen=seen: seen.extend(p.grad.clone() for p in parameters)
        loop.run()
        gradients.append(seen)
    assert len(gradients[0]) == len(gradients[1]) > 4
    for whole, parts in zip(*gradients, strict=True):
        assert whole.isfinite().all() and (whole - parts).abs().max() < 1e-5 * max(1.0, float(whole.abs().max()))


class Doubled:
    """The same batches in float64."""

    def __init__(self, batches: ToyBatches) -> None:
        self.batches, self.steps_per_epoch = batches, batches.steps_per_epoch

    def batch(self, step: int) -> StreamBatches:
        return StreamBatches(**{
            name: Batch(**{key: _double(getattr(batch, key)) for key in batch.names})
            for name, batch in self.batches.batch(step).items()
        })  # fmt: skip


def test_batches_that_wait_are_made_after_the_epoch_before_was_judged(tmp_path):
    """So that they can follow from what was found then."""
    judged, ahead = [], []

    class Waiting(ToyBatches):
        waits = True

        def batch(self, step):
            ahead.append(step // 10 - len(judged))
            return super().batch(step)

    def evaluate():
        judged.append(True)
        return {"score": 0.0}

    learner = made("dann")
    loop_of(learner, Waiting.of(learner), tmp_path, evaluate=evaluate).run()
    assert ahead == [0] * 30


def _double(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


class Deadly(ToyBatches):
    """Ends this process without a word while the batch of step 9 is made."""

    def batch(self, step: int) -> StreamBatches:
        if step == 9:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        return super().batch(step)


def train_and_die(name: str, folder: str) -> None:
    torch.set_num_threads(1)
    learner = made(name)
    loop_of(learner, Deadly.of(learner), Path(folder), micro_batch=4, max_steps=20, checkpoint_every_s=0).run()


@pytest.mark.parametrize("name", LEARNERS)
def test_killed_and_resumed_it_has_the_losses_of_one_that_never_was(tmp_path, name):
    whole, expected = trained(name, tmp_path / "whole", micro_batch=4, max_steps=20)
    worker = FORK.Process(target=train_and_die, args=(name, str(tmp_path / "killed")))
    worker.start()
    worker.join(120)
    assert worker.exitcode != 0
    before = scalars(tmp_path / "killed")
    assert before and len(before) < len(expected)
    resumed = made(name)
    with torch.no_grad():
        for parameter in resumed.module.parameters():
            parameter.zero_()  # all it knows is in the state
    loop_of(resumed, ToyBatches.of(resumed), tmp_path / "killed", resume=True, micro_batch=4, max_steps=20).run()
    assert scalars(tmp_path / "killed") == expected
    assert all(
        torch.equal(one, two) for one, two in zip(*(x.module.parameters() for x in (whole, resumed)), strict=True)
    )


def train_as_rank(rank: int, port: int, names: list[str], folder: str) -> None:
    """As `accelerate launch` starts it."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), ACCELERATE_USE_CPU="true")
    torch.set_num_threads(1)
    for name in names:
        trained(name, Path(folder) / f"{name}-{rank}", max_steps=8)
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a fork server")
def test_two_processes_have_the_losses_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [FORK.Process(target=train_as_rank, args=(rank, port, list(LEARNERS), str(tmp_path))) for rank in (0, 1)]
    for worker in ranks:
        worker.start()
    for worker in ranks:
        worker.join(120)
    assert [worker.exitcode for worker in ranks] == [0, 0]
    for name in LEARNERS:
        _, alone = trained(name, tmp_path / name, max_steps=8)
        shared = scalars(tmp_path / f"{name}-0")
        assert shared.keys() == alone.keys() and len(alone) >= 16
        for key, value in alone.items():
            assert shared[key] == pytest.approx(value, rel=1e-4, abs=1e-5), (name, key)


def test_a_phase_moves_its_own_parameters_alone_and_comes_as_often_as_it_says(tmp_path):
    learner = made("mcd")
    loop = loop_of(learner, ToyBatches.of(learner), tmp_path, max_steps=1)
    moved = []
    whole = loop._phase

    def watched(phase, *arguments):
        before = {name: p.detach().clone() for name, p in learner.module.named_parameters()}
        returned = whole(phase, *arguments)
        changed = {
            name.split(".")[0] for name, p in learner.module.named_parameters() if not torch.equal(p, before[name])
        }
        moved.append((phase.name, changed))
        assert all(p.requires_grad for p in learner.module.parameters())
        return returned

    loop._phase = watched
    loop.run()
    assert moved == [
        ("classify", {"features", "one", "two"}), ("disagree", {"one", "two"}), ("agree", {"features"}),
        ("agree", {"features"}),
    ]  # fmt: skip
    _, values = trained("cyclegan", tmp_path / "gan", epochs=1)
    assert [step for name, step in values if name == "train/discriminate/photo"] == [0, 2, 4, 6, 8]


def test_each_phase_is_clipped_by_its_own_norm(tmp_path, monkeypatch):
    clips = []
    whole = nn.utils.clip_grad_norm_
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda p, clip: clips.append(clip) or whole(p, clip))
    trained("mcd", tmp_path, max_steps=1, clip=3.0)
    assert clips == [3.0, 0.5, 3.0, 3.0]


def test_a_blind_stream_has_no_labels_and_is_given_none():
    blind = Batch(images=torch.zeros(2, 3))
    with pytest.raises(AttributeError, match="no 'labels'; it has images"):
        _ = blind.labels
    source = Batch(images=torch.zeros(4, 3), labels=torch.zeros(4))
    check(StreamBatches(target=blind, source=source), (Source, Target))
    with pytest.raises(StudioError, match="Stream target is blind, but its batch has labels"):
        check(StreamBatches(source=source, target=source), (Source, Target))
    with pytest.raises(StudioError, match="of the streams source; the learner asks for source, target"):
        check(StreamBatches(source=source), (Source, Target))


def test_several_sources_come_as_a_list_each_cut_by_its_own_rows():
    batch = StreamBatches(sources=[Batch(images=torch.arange(count).float()) for count in (8, 3, 2)])
    parts = [part(check(batch, (Sources,)), slice(first, first + 2), 2, [8, 3, 2]) for first in range(0, 8, 2)]
    rows = [[batch.images.tolist() for batch in piece.sources] for piece, _ in parts]
    assert rows == [[[0, 1], [0], [0]], [[2, 3], [0], [0]], [[4, 5], [1], [1]], [[6, 7], [2], [1]]]
    for place, expected in enumerate((3.5, 1.0, 0.5)):
        means = [piece.sources[place].mean(piece.sources[place].images) * weight for piece, weight in parts]
        assert float(sum(means)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("selection", "kept"),
    [(Selection(), 1), (Selection("entropy", lower=True), 2), (Selection("miou"), 0), (Selection("nothing"), None)],
)
def test_the_epoch_is_chosen_by_the_number_that_is_named(tmp_path, selection, kept):
    learner, numbers = made("dann"), iter([(1, 5, 9), (3, 4, 8), (2, 1, 7)])
    weights = []

    def evaluate():
        weights.append(learner.module.head.weight.detach().clone())
        return dict(zip(("score", "entropy", "miou"), map(float, next(numbers)), strict=True))

    loop = loop_of(learner, ToyBatches.of(learner), tmp_path, evaluate=evaluate, selection=selection)
    if kept is None:
        with pytest.raises(UsageError, match="no number 'nothing'; expected one of score, entropy, miou"):
            loop.run()
        return
    assert loop.run().best_epoch == kept + 1
    loop.keep_selected()
    assert torch.equal(learner.module.head.weight, weights[kept])


def test_the_last_epoch_is_kept_where_it_is_asked_for(tmp_path):
    learner, scores = made("dann"), iter([3.0, 2.0, 1.0])
    loop = loop_of(
        learner,
        ToyBatches.of(learner),
        tmp_path,
        evaluate=lambda: {"score": next(scores)},
        selection=Selection(last=True),
    )
    loop.run()
    last = learner.module.head.weight.detach().clone()
    loop.keep_selected()
    assert torch.equal(learner.module.head.weight, last)


class Taught(Learner):
    """A teacher that follows the student at an even pace."""

    def setup(self, context):
        self.module = nn.ModuleDict({"student": nn.BatchNorm1d(6), "teacher": nn.BatchNorm1d(6)})
        self.module.teacher.requires_grad_(False)

    def teachers(self):
        return [Teacher(self.module.teacher, self.module.student, decay=0.5, warm=False)]

    def losses(self, batch, at):
        return {"loss": self.module.student(batch.images).pow(2).mean()}


def test_a_teacher_follows_weights_and_statistics(tmp_path):
    learner = Taught()
    learner.setup(None)
    followed = {name: tensor.clone() for name, tensor in learner.module.teacher.state_dict().items()}
    batches = ToyBatches("source", "target", False)
    batches.batch, whole = lambda step: whole(step).source, batches.batch
    loop = loop_of(learner, batches, tmp_path, max_steps=4)
    move = loop._step

    def watched(*arguments):
        returned = move(*arguments)
        for name, now in learner.module.student.state_dict().items():
            followed[name] = followed[name].lerp(now, 0.5) if now.is_floating_point() else now.clone()
        return returned

    loop._step = watched
    loop.run()
    for name, tensor in learner.module.teacher.state_dict().items():
        torch.testing.assert_close(tensor, followed[name])
    assert int(learner.module.teacher.num_batches_tracked) == 4


class Wrong(Learner):
    def setup(self, context):
        self.module = nn.Linear(6, 1)

    def optimizers(self, lr, weight_decay):
        return {"one": Optimizer([{"params": list(self.module.parameters()), "lr": lr}])}

    def phases(self):
        return [Phase("only", self.losses, trains=("two",))]


def test_phases_that_train_what_is_not_there_are_refused(tmp_path):
    learner = Wrong()
    learner.setup(None)
    with pytest.raises(UsageError, match=r"its phases train \['two'\], its optimizers are \['one'\]"):
        loop_of(learner, ToyBatches("source", "target", True), tmp_path)


def test_the_gradient_is_reversed_by_its_coefficient():
    features = torch.ones(3, requires_grad=True)
    (reverse(features, 0.5) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert features.grad.tolist() == [-0.5, -1.0, -1.5]
    assert torch.equal(reverse(torch.ones(2)), torch.ones(2))


def test_a_step_knows_how_far_the_training_is():
    assert [Step(step, 4).progress for step in range(4)] == [0, 0.25, 0.5, 0.75]
    assert [Step(step, 4).linear(0.5) for step in range(4)] == [0, 0.5, 1, 1]
    assert Step(0, 4).ramp() == 0 and Step(4, 4).ramp() == pytest.approx(1, abs=1e-4)


def test_streams_are_known_by_name():
    learner = made("cyclegan")
    assert [stream.name for stream in learner.streams] == ["photos", "paintings"]
    assert Stream("photos", blind=True) == learner.streams[0] and type(learner).adapts()
