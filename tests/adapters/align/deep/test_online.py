"""Adapting while predicting: each batch is answered first, and answers that go astray send the network back."""

import pytest
import torch

from adapters.align.deep.run.online import Stream
from adapters.align.deep.test_time.disagreement import Disagreement
from studio.core import registry
from studio.core.faces import LearnerContext

torch.set_num_threads(1)


def stream_of(method: str, lr: float, state: dict | None = None, **params) -> Stream:
    cls = registry.get(method)
    learner = cls(cls.Params(bottleneck=8, **params))
    learner.setup(LearnerContext(registry.backbone("studio/conv4?image_size=16&width=8"), list("abcd"), training=False))
    torch.manual_seed(0)
    torch.nn.init.normal_(learner.module.head.weight)
    if state is not None:
        learner.module.load_state_dict(state)
    return Stream(learner, lr)


def batch(number: int, count: int = 16) -> torch.Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(number))


def labelled(number: int, count: int = 16, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of four patterns in noise, and which they are."""
    labels = torch.randint(classes, (count,), generator=torch.Generator().manual_seed(number))
    return batch(-1, 4)[labels] + batch(number, count), labels


@pytest.fixture(scope="module")
def learned() -> dict[str, torch.Tensor]:
    """A network that knows the patterns."""
    learner = stream_of("align/bn-adapt", 0.0).start
    learner.module.requires_grad_(True).train()
    optimizer = torch.optim.Adam(learner.module.parameters(), 0.01)
    for number in range(100, 150):
        images, labels = labelled(number, 32)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(learner.answer(images)[1], labels).backward()
        optimizer.step()
    return learner.module.state_dict()


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
    start = stream.start.module.state_dict()
    assert all(torch.equal(now, start[name]) for name, now in stream.learner.module.state_dict().items())
    stream.learner.train_mode(False)
    assert not torch.equal(stream.learner.predict(batch(0) * 3 + 1), first)


def test_few_images_are_answered_as_the_network_is():
    stream = stream_of("align/tent", 0.01)
    stream.learner.train_mode(False)
    expected = stream.learner.predict(batch(0, 3)).detach()
    torch.testing.assert_close(stream.answer(batch(0, 3))[1], expected)


def test_a_stream_that_goes_astray_is_reset_before_it_answers(learned):
    accuracies = {}
    for reset in (0.0, 0.25):
        stream = stream_of("align/tent", 1.0, learned, reset=reset)  # astray on whatever processor
        right = [stream.answer(images)[1].argmax(dim=1) == labels for images, labels in map(labelled, range(24))]
        accuracies[reset] = float(torch.cat(right[12:]).float().mean())
        assert (stream.resets > 0) == (reset > 0)
        assert all(torch.equal(tensor, learned[name]) for name, tensor in stream.start.module.state_dict().items())
    assert accuracies[0.25] > accuracies[0.0] + 0.15


def test_a_calm_stream_of_one_class_is_not_reset(learned):
    stream = stream_of("align/tent", 0.01, learned, prior=64.0)
    for number in range(24):
        answers = stream.answer(labelled(number, classes=1)[0])[1]
    assert stream.moved and stream.resets == 0 and answers.argmax(dim=1).unique().tolist() == [0]


def test_answers_that_the_start_holds_for_wrong_add_up_to_a_reset_beyond_its_own_errors():
    unmoved = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]]).log().repeat(5, 1)
    moved = unmoved.clone()
    moved[:14] = moved[:14].flip(
        1
    )  # lose 3 (0.8 + 0.6 + 0.4 + 0.2) + 0.8 + 0.6; the errors are 5 (0.1 + 0.2 + 0.3 + 0.4)
    watch = Disagreement(0.5)
    assert not watch.too_much(moved, unmoved) and watch.surplus == pytest.approx(2.4)
    assert watch.too_much(moved, unmoved) and watch.surplus == pytest.approx(4.8)
    assert not watch.too_much(unmoved[:8], unmoved[:8]) and watch.surplus == pytest.approx(2.8)  # it is calm again
    assert not watch.too_much(unmoved, unmoved) and watch.surplus == 0
    assert Disagreement(0.1).too_much(moved, unmoved)  # 0.1 * 20 images are the smaller bound
    assert Disagreement(0.5).too_much(torch.full_like(unmoved, torch.nan), unmoved)  # no answers at all
