"""Networks between domains: what moves, what follows, what is hidden, and that every part is a switch."""

import pytest
import torch
from small_networks import SIZE, TINY, encoder_folder, scenes

from adapters.segment.data.batches import MaskBatches
from adapters.segment.data.domain_batches import DomainMaskBatches
from adapters.segment.domains.base import DomainSegmenter
from adapters.segment.task import SegmentTrain
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.streams import Step, leaves
from studio.data.preprocess import Preprocess
from studio.engine.averages import follow

ADAPTING = [
    cls.id for cls in registry.methods("segment") if issubclass(cls, DomainSegmenter) and not cls.needs_checkpoint
]
LIGHT = {"network_params": {"width": 16, "dropout": 0.0}}


@pytest.fixture(scope="module")
def batches() -> DomainMaskBatches:
    split = scenes(3)
    source = MaskBatches(split, Preprocess(SIZE), SegmentTrain(batch_size=2))
    return DomainMaskBatches(source, [image // 3 for image in split.images])


def made(method: str, training: bool = True, **params):
    cls = registry.get(method)
    learner = cls(cls.Params(**{**LIGHT, **params}))
    backbone = registry.backbone(TINY, image_size=SIZE)
    learner.setup(LearnerContext(backbone, ["background", "0", "1"], 0, SIZE, training=training))
    return learner


def step(learner, batch, number: int = 0) -> dict[str, float]:
    """One step of all phases by hand; the losses by name."""
    torch.manual_seed(0)
    learner.train_mode(True)
    found: dict[str, float] = {}
    optimizers = {
        name: torch.optim.SGD([group for group in one.groups if group["params"]], lr=0.1)
        for name, one in learner.optimizers(0.1, 0.0).items()
    }
    for phase in learner.phases():
        losses, _ = phase.losses(batch, Step(number, 10))
        learner.module.zero_grad()
        sum(losses.values()).backward()
        for name in phase.trains:
            optimizers[name].step()
        found |= {name: float(value.detach()) for name, value in losses.items()}
    follow(learner, number)
    return found


def test_a_batch_has_the_target_s_pixels_and_none_of_its_masks(batches):
    batch = batches.batch(3)
    assert batch.source.names == ["images", "masks"] and batch.target.names == ["images"]
    assert batch.target.images.shape == batch.source.images.shape == (2, 3, SIZE, SIZE)
    with pytest.raises(AttributeError, match="no 'masks'"):
        batch.target.masks  # noqa: B018
    for one, two in zip(leaves(batch), leaves(batches.batch(3)), strict=True):
        assert all(torch.equal(getattr(one, name), getattr(two, name)) for name in one.names)


@pytest.mark.parametrize("method", ADAPTING)
def test_a_step_is_finite_moves_the_network_and_leaves_a_checkpoint_of_the_network_alone(method, batches):
    learner = made(method)
    before = {name: tensor.clone() for name, tensor in learner.network.state().items()}
    losses = step(learner, batches.batch(0))
    assert all(torch.isfinite(torch.tensor(list(losses.values()))))
    now = learner.network.state()
    assert any(not torch.equal(now[name], before[name]) for name in before)
    again = made(method, training=False)
    again.load_state(learner.state())
    for one in (learner, again):
        one.train_mode(False)
    images = batches.batch(0).target.images
    torch.testing.assert_close(again.predict(images), learner.predict(images))


def test_the_teacher_follows_the_network_and_is_what_predicts(batches):
    learner = made("segment/mean-teacher", decay=0.5)
    batch = batches.batch(0)
    first = next(iter(learner.teacher.module.parameters())).clone()
    step(learner, batch, number=100)
    own, taught = (next(iter(part.module.parameters())) for part in (learner.network, learner.teacher))
    torch.testing.assert_close(taught, 0.5 * first + 0.5 * own)
    assert not any(parameter.requires_grad for parameter in learner.teacher.module.parameters())
    learner.train_mode(False)
    assert torch.equal(learner.predict(batch.target.images), learner.teacher.predict(batch.target.images))


def test_pseudo_labels_count_by_the_share_of_pixels_of_which_the_teacher_is_sure(batches):
    learner = made("segment/mean-teacher", threshold=0.34)
    learner.train_mode(True)
    images = batches.batch(0).target.images
    pseudo = learner.pseudo_labels(images)
    given = torch.nn.functional.interpolate(learner.teacher.predict(images), images.shape[-2:], mode="bilinear")
    surest, labels = given.softmax(1).max(1)
    assert torch.equal(pseudo.labels, labels.to(torch.uint8))
    for row in range(2):
        share = float((surest[row] > 0.34).float().mean())
        assert pseudo.weights[row].unique().tolist() == pytest.approx([share])


def parts(method: str, batch, **params) -> set[str]:
    """The names of the losses of a step, in all its phases."""
    learner = made(method, **params)
    learner.train_mode(True)
    return {name for phase in learner.phases() for name in phase.losses(batch, Step(0, 10))[0]}


def test_every_part_is_a_switch(batches):
    batch, all_of_mic = batches.batch(0), {"cross-entropy", "feature_distance", "target", "masked"}
    assert parts("segment/mic", batch) == all_of_mic
    for part, params in {"feature_distance": {"feature_distance": 0}, "target": {"weight": 0}}.items():
        assert parts("segment/mic", batch, masked=0, **params) == all_of_mic - {part, "masked"}
    assert "detail_cross-entropy" in parts("segment/mic", batch, detail=0.1)
    assert parts("segment/fda", batch, entropy=0) == {"cross-entropy"}
    assert parts("segment/fda", batch, weight=1) == {"cross-entropy", "target", "entropy"}
    assert parts("segment/advent", batch, entropy=1) == {"cross-entropy", "adversary", "entropy", "domain"}
    assert parts("segment/advent", batch, entropy=1, adversary=0) == {"cross-entropy", "entropy"}
    assert parts("segment/cycada", batch) == {"cross-entropy", "adversary", "domain"}
    assert parts("segment/cycada", batch, adversary=0) == {"cross-entropy"}
    for warm, first in ((0, None), (0.1, pytest.approx(1 / 11))):
        (optimizer,) = made("segment/daformer", feature_distance=0, warm_up=warm).optimizers(1, 0).values()
        assert (optimizer.schedule and optimizer.schedule(Step(0, 100))) == first


def test_features_that_did_not_move_are_at_no_distance(batches):
    learner = made("segment/daformer", feature_distance=1.0)
    assert step(learner, batches.batch(0))["feature_distance"] == 0
    assert step(learner, batches.batch(0))["feature_distance"] > 0


@pytest.mark.parametrize("method", ["segment/daformer", "segment/mic"])
def test_the_features_of_a_segformer_of_transformers_are_watched_too(method, batches):
    """The network and encoder that gta5-cityscapes and its like name."""
    cls = registry.get(method)
    params = {"network": "segment/segformer", "network_params": {"width": 32}, "feature_distance": 1.0}
    learner = cls(cls.Params(**params))
    backbone = registry.backbone(encoder_folder(), image_size=SIZE)
    learner.setup(LearnerContext(backbone, ["background", "0", "1"], 0, SIZE))
    assert learner.pretrained_maps(batches.batch(0).source.images).shape == (2, 16, SIZE // 32, SIZE // 32)
    step(learner, batches.batch(0))
    assert step(learner, batches.batch(0))["feature_distance"] > 0


@pytest.mark.parametrize("method", ["segment/advent", "segment/cycada"])
def test_the_network_learns_to_deceive_and_the_discriminator_to_see(method, batches):
    learner, batch = made(method, adversary=1.0, width=8), batches.batch(0)
    learner.train_mode(True)
    weights = list(learner.module.aids.parameters())
    (domain,) = learner.discriminate(batch, Step(0, 1))[0].values()
    with torch.no_grad():
        for weight, slope in zip(weights, torch.autograd.grad(domain, weights), strict=True):
            weight -= 0.01 * slope
    (better,) = learner.discriminate(batch, Step(0, 1))[0].values()
    assert better < domain
    moving = [parameter for parameter in learner.network.module.parameters() if parameter.requires_grad]
    deceiving = learner.adapt(batch, Step(0, 1))[0]["adversary"]
    with torch.no_grad():
        for weight, slope in zip(moving, torch.autograd.grad(deceiving, moving, allow_unused=True), strict=True):
            weight -= 0.01 * (slope if slope is not None else 0)
    assert learner.adapt(batch, Step(0, 1))[0]["adversary"] < deceiving


def test_source_images_are_learned_in_the_target_s_look(batches):
    learner, batch = made("segment/fda", bands=[0.0]), batches.batch(0)
    seen = learner.colours.shown(learner.seen(batch).images).mean((2, 3))
    target = learner.colours.shown(batch.target.images).mean((2, 3))
    nearest = torch.cdist(seen, target).amin(1)
    assert nearest.max() < 0.06 and torch.equal(learner.seen(batch).masks, batch.source.masks)


def test_two_resolutions_predict_detail_everywhere_and_mix_by_attention(batches):
    learner = made("segment/hrda")
    learner.train_mode(False)
    images = batches.batch(0).target.images
    mixture = learner.teacher.module
    with torch.no_grad():
        mixture.attention.classifier.weight.zero_()
        for bias, wanted in ((-50.0, 0), (50.0, 1)):
            mixture.attention.classifier.bias.fill_(bias)
            logits = learner.predict(images)
            corner = mixture.network(images[..., : SIZE // 2, : SIZE // 2])
            same = torch.allclose(logits[..., : SIZE // 8, : SIZE // 8], corner, atol=1e-5)
            assert logits.shape[-2:] == (SIZE // 4, SIZE // 4) and same == bool(wanted)


def test_styles_are_learned_beside_the_image_and_must_agree(batches):
    learner = made("segment/style-random")
    assert not learner.adapts()
    learner.train_mode(True)
    torch.manual_seed(0)
    losses, logged = learner.losses(batches.batch(0).source, Step(0, 1))
    assert {*losses} == {"cross-entropy", "styled_cross-entropy", "consistency"} and logged["apart"] > 0
    assert not torch.equal(learner.styled(batches.batch(0).source.images), batches.batch(0).source.images)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"network": "segment/prototypes"}, "no network that can be adapted"),
        ({"network": "segment/advent"}, "no network that can be adapted"),
        ({"network": "segment/lihgt-pyramid"}, "light-pyramid"),
        ({"network_params": {"widht": 3}}, "params.network_params"),
        ({"things": ["car"]}, "params.things"),
    ],
)
def test_what_can_not_be_adapted_is_said(params, message):
    with pytest.raises(UsageError, match=message):
        made("segment/daformer", **params)
