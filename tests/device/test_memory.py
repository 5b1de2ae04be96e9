"""Recovery from full memory: smaller micro-batches, the same gradients."""

import runpy
import weakref
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from studio.core.errors import StudioError
from studio.device.manager import MicroBatches, Rewind
from studio.device.memory import slices

MACHINE = runpy.run_path(str(Path(__file__).with_name("two_small_gpus.py")))
OutOfMemory, TwoSmallGpus = MACHINE["OutOfMemory"], MACHINE["TwoSmallGpus"]


class Trainee:
    """A small float64 network on a device where at most `room` items fit."""

    def __init__(self, room, *layers):
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(5, 8), *layers, nn.Tanh(), nn.Linear(8, 3)).double()
        self.room, self.rewind, self.passes = room, Rewind(self.net), []

    def gradients(self, micro, x, y):
        def step(part, weight):
            size = part.stop - part.start
            self.passes.append(size)
            loss = nn.functional.cross_entropy(self.net(x[part]), y[part])
            (loss * weight).backward()  # memory runs out late: gradients of this slice are there already
            if size > self.room:
                raise OutOfMemory
            return float(loss.detach()) * weight

        self.net.zero_grad()
        self.rewind.mark()
        losses = micro.run(len(x), step, self.rewind.restore)
        return sum(losses), [parameter.grad.clone() for parameter in self.net.parameters()]


def batch(size):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(size, 5, generator=generator).double(), torch.randint(0, 3, (size,), generator=generator)


@settings(deadline=None)
@given(size=st.integers(1, 40), room=st.integers(1, 40))
def test_gradients_and_loss_after_recovery_are_those_of_the_whole_batch(size, room):
    x, y = batch(size)
    probe, said = TwoSmallGpus(), []
    loss, gradients = Trainee(room).gradients(MicroBatches(probe, "cuda:0", said.append), x, y)
    whole_loss, whole = Trainee(10**6).gradients(MicroBatches(probe, "cuda:0"), x, y)
    assert abs(loss - whole_loss) < 1e-12
    for got, expected in zip(gradients, whole, strict=True):
        assert (got - expected).abs().max() < 1e-6 * max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)
    assert bool(said) == (size > room)


def test_it_halves_until_it_fits_says_each_step_and_stays_there():
    trainee, probe, said = Trainee(room=4), TwoSmallGpus(), []
    micro = MicroBatches(probe, "cuda:0", said.append)
    trainee.gradients(micro, *batch(16))
    assert trainee.passes == [16, 8, 4, 4, 4, 4]
    assert said == [
        f"Memory of cuda:0 was full: a batch of 16 now goes in {count} parts of {size}, with the same result."
        for count, size in ((2, 8), (4, 4))
    ]
    assert probe.emptied == ["cuda:0", "cuda:0"]
    trainee.passes.clear()
    trainee.gradients(micro, *batch(10))
    assert trainee.passes == [4, 4, 2] and micro.size == 4 and len(said) == 2


def test_a_single_item_that_does_not_fit_is_a_clear_error():
    micro = MicroBatches(TwoSmallGpus(), "cuda:0")
    with pytest.raises(StudioError, match="cuda:0.*one item.*model.image_size"):
        Trainee(room=0).gradients(micro, *batch(4))


def test_other_errors_pass_through_at_once():
    def step(part, weight):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        MicroBatches(TwoSmallGpus(), "cuda:0").run(4, step, pytest.fail)


def test_nothing_of_a_broken_pass_is_alive_when_the_cache_is_emptied():
    alive = []

    class Probe(TwoSmallGpus):
        def empty_cache(self, device_id):
            alive.append(ghosts[0]() is not None)

    ghosts = []

    def step(part, weight):
        activations = torch.zeros(part.stop - part.start)
        ghosts.append(weakref.ref(activations))
        if len(activations) > 2:
            raise OutOfMemory

    MicroBatches(Probe(), "cuda:0").run(4, step)
    assert alive == [False]


def test_batch_normalisation_is_rewound_and_said_to_see_less():
    said = []
    trainee = Trainee(4, nn.BatchNorm1d(8))
    norm = trainee.net[1]
    micro = MicroBatches(TwoSmallGpus(), "cuda:0", said.append, module=trainee.net)
    x, y = batch(8)
    trainee.gradients(micro, x, y)
    assert int(norm.num_batches_tracked) == 2  # the broken pass left no trace
    assert "Batch normalisation" in said[0] and "same result" not in said[0]
    quiet = []
    trainee.net.eval()
    MicroBatches(TwoSmallGpus(), "cuda:0", quiet.append, module=trainee.net)._halve(8, 8)
    assert "same result" in quiet[0]


def test_inference_in_slices_keeps_the_order():
    def embed(part, weight):
        if part.stop - part.start > 3:
            raise OutOfMemory
        return torch.arange(10)[part] * 2

    assert torch.cat(MicroBatches(TwoSmallGpus(), "cuda:1").run(10, embed)).tolist() == list(range(0, 20, 2))


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 200))
def test_slices_cover_each_item_once(batch_size, size):
    parts = slices(batch_size, size)
    assert [i for part in parts for i in range(batch_size)[part]] == list(range(batch_size))
    assert all(0 < part.stop - part.start <= size for part in parts)


def test_running_statistics_go_back_to_the_last_mark_after_forward_passes():
    net = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2))
    rewind, draw = Rewind(net), torch.Generator().manual_seed(0)
    for _ in range(3):  # batches that went well, which a forward pass alone has changed
        rewind.mark()
        marked = [buffer.clone() for buffer in net.buffers()]
        net(torch.randn(8, 2, generator=draw) + 5)
    for _ in range(2):  # and one that breaks twice
        assert not torch.equal(net[0].running_mean, marked[0])
        rewind.restore()
        assert all(map(torch.equal, net.buffers(), marked))
        net(torch.randn(8, 2, generator=draw) + 5)
