"""Adapting while predicting: each batch is answered first, and a collapse sends the network back."""

import pytest
import torch

from adapters.align.deep.run.online import SETTLED, Stream
from studio.core import registry
from studio.core.faces import LearnerContext

torch.set_num_threads(1)


def stream_of(method: str, lr: float, **params) -> Stream:
    cls = registry.get(method)
    learner = cls(cls.Params(bottleneck=8, **params))
    learner.setup(LearnerContext(registry.backbone("studio/conv4?image_size=16&width=8"), list("abcd"), training=False))
    torch.manual_seed(0)
    torch.nn.init.normal_(learner.module.head.weight)
    return Stream(learner, lr)


def batch(number: int, count: int = 16) -> torch.Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(number))


def test_the_first_batch_is_answered_by_the_network_as_it_was_and_moves_it():
    stream = stream_of("align/tent", 0.01)
    before = {name: tensor.clone() for name, tensor in stream.learner.module.state_dict().items()}
    answer = stream.answer(batch(0))[1]
    moved = {
        name for name, tensor in stream.learner.module.state_dict().items() if not torch.equal(tensor, before[name])
    }
    norms = {name for name, _ in stream.learner.module.named_parameters() if "head" not in name}
    assert moved and moved <= norms
    torch.testing.assert_close(stream_of("align/tent", 0.01).answer(batch(0))[1], answer)
    assert not torch.equal(stream.answer(batch(0))[1], answer)


def test_statistics_alone_adapt_without_moving_a_weight():
    stream = stream_of("align/bn-adapt", 0.01)
    first = stream.answer(batch(0) * 3 + 1)[1]
    assert all(torch.equal(now, stream.first[name]) for name, now in stream.learner.module.state_dict().items())
    stream.learner.train_mode(False)
    assert not torch.equal(stream.learner.predict(batch(0) * 3 + 1), first)


def test_few_images_are_answered_as_the_network_is():
    stream = stream_of("align/tent", 0.01)
    stream.learner.train_mode(False)
    expected = stream.learner.predict(batch(0, 3)).detach()
    torch.testing.assert_close(stream.answer(batch(0, 3))[1], expected)


@pytest.mark.parametrize("reset", [0.0, 0.45])
def test_a_stream_that_collapses_is_reset_where_that_is_asked_for(reset):
    stream = stream_of("align/tent", 0.3, reset=reset)
    for number in range(60):
        answer = stream.answer(batch(number))[1]
    spread = float(torch.special.entr(answer.softmax(dim=1).mean(dim=0)).sum().exp())
    if reset:
        assert 0 < stream.resets <= 60 / SETTLED
    else:
        assert stream.resets == 0 and spread < 1.8  # of four classes
