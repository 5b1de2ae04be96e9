"""Detectors between domains: what adversary and teacher learn from, and that no box of the target reaches them."""

import numpy as np
import pytest
import torch

from adapters.detect.data.batches import BoxBatches, DomainBatches
from adapters.detect.domain_heads import DomainHeads, consistency
from adapters.detect.task import DetectTrain
from adapters.detect.two_stage import hardest, rpn_roi_losses
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.streams import Step, StreamBatches, leaves
from studio.data import open_data
from studio.data.boxes import Detections
from studio.data.pixels import decode
from studio.data.preprocess import Preprocess
from studio.engine.averages import follow
from studio.engine.batches import rows_in_turn

SIZE = 64
TINY = {
    "detect/faster-rcnn": {"width": 32, "hidden": 64, "proposals": 20, "sampled": 16},
    "detect/fcos": {"width": 32},
    "detect/detr": {"width": 32, "heads": 2, "hidden": 32, "decoder_layers": 2, "encoder_layers": 1, "queries": 10},
}


@pytest.fixture(scope="module")
def batches() -> DomainBatches:
    preprocess = Preprocess(SIZE, squash=True)
    pixels, kept = decode(open_data(f"builtin:scenes?images=6&size={SIZE}&classes=2"), preprocess)
    target, _ = decode(open_data(f"builtin:scenes?images=5&size={SIZE}&classes=2&look=fog&seed=1"), preprocess)
    source = BoxBatches(pixels, [item.boxes for item in kept.items], preprocess, DetectTrain(batch_size=2))
    return DomainBatches(source, target)


def test_the_domain_of_each_image_reaches_both_batches_where_there_are_several(batches):
    source = batches.source
    settings = source.settings.model_copy(update={"augment": "none"})
    pixels = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, SIZE, SIZE), np.uint8)
    ids = np.array([0, 1, 2, 0, 1, 2])
    several = BoxBatches(pixels, source.boxes, source.preprocess, settings, domains=ids)
    batch = DomainBatches(several, pixels, domains=ids).batch(0)
    for stream in (batch.source, batch.target):
        rows = (stream.images[:, 0, 0, 0] * source.preprocess.std[0] + source.preprocess.mean[0]) * 255
        assert stream.domains.tolist() == ids[rows.round().long()].tolist()
    assert "domains" not in batches.batch(0).source and "domains" not in batches.batch(0).target


def made(method: str, training: bool = True, **params):
    cls = registry.get(method)
    learner = cls(cls.Params(**params))
    backbone = registry.backbone("timm/resnet18?random", image_size=SIZE)
    learner.setup(LearnerContext(backbone, ["0", "1"], 0, SIZE, training=training))
    return learner


def taught(detector: str, **params):
    return made("detect/mean-teacher", detector=detector, detector_params=TINY[detector], **params)


def step(learner, batch, number: int = 0) -> dict[str, float]:
    torch.manual_seed(0)
    learner.train_mode(True)
    losses = learner.losses(batch, Step(number, 10))
    optimizer = torch.optim.SGD(learner.param_groups(1e-3, 0.0))
    sum(losses.values()).backward()
    optimizer.step()
    follow(learner, number)
    return {name: float(value) for name, value in losses.items()}


def test_a_batch_has_the_targets_pixels_and_none_of_its_boxes(batches):
    batch = batches.batch(3)
    assert batch.source.names == ["images", "boxes", "labels"] and batch.target.names == ["images", "strong"]
    assert batch.target.images.shape == batch.target.strong.shape == (2, 3, SIZE, SIZE)
    assert not torch.equal(batch.target.images, batch.target.strong)
    for missing in ("boxes", "labels"):
        with pytest.raises(AttributeError, match=f"no '{missing}'"):
            getattr(batch.target, missing)
    again = batches.batch(3)
    for one, two in zip(leaves(batch), leaves(again), strict=True):
        assert all(torch.equal(getattr(one, name), getattr(two, name)) for name in one.names)
    shown = [row for number in range(5) for row in rows_in_turn(5, 2, number, 0, 1).tolist()]
    assert sorted(shown[:5]) == sorted(shown[5:]) == list(range(5))


def test_regions_are_to_say_what_their_image_says():
    places = [torch.zeros(2, 1, 3, 3), torch.full((2, 1, 2, 2), 100.0)]  # says 0.5, and 1
    guesses = torch.tensor([0.0, -100.0, 100.0])  # says 0.5, 0 and 1
    wanted = np.mean([0, 0.25, 0.25, 0.25, 1, 0])
    assert float(consistency(places, guesses, torch.tensor([0, 0, 1]))) == pytest.approx(wanted)


def test_features_learn_to_hide_the_domain_and_to_agree():
    torch.manual_seed(0)
    heads = DomainHeads(8, 16)
    level, regions, image = torch.randn(2, 8, 4, 4), torch.randn(3, 16, requires_grad=True), torch.tensor([0, 0, 1])
    for name, wanted in (("domain_region", 1), ("domain_consistency", -1)):
        before = heads.losses([level], regions, image, 1.0)[name]
        (towards,) = torch.autograd.grad(before, regions)
        after = heads.losses([level], regions - 0.1 * towards / towards.norm(), image, 1.0)[name]
        assert (after - before).sign() == wanted


def test_without_regions_the_adversary_looks_at_maps_alone():
    heads = DomainHeads(8, 16)
    none = torch.zeros(0, dtype=torch.int64)
    losses = heads.losses([torch.randn(2, 8, 4, 4)], torch.zeros(0, 16), none, 1.0)
    assert losses["domain_image"] > 0 and losses["domain_region"] == losses["domain_consistency"] == 0


def test_two_stages_taken_apart_have_the_losses_of_torchvision(batches):
    learner = made("detect/faster-rcnn", **TINY["detect/faster-rcnn"])
    learner.train_mode(True)
    batch = batches.batch(0).source
    torch.manual_seed(0)
    whole = learner.module(list(batch.images), learner.targets(batch))
    torch.manual_seed(0)
    apart, regions = rpn_roi_losses(learner.module, batch.images, learner.targets(batch))
    assert whole.keys() == apart.keys()
    for name in whole:
        assert float(apart[name]) == pytest.approx(float(whole[name]), rel=1e-5)
    assert len(regions.features) == len(regions.image_of) and set(regions.image_of.tolist()) == {0, 1}


def test_the_hardest_regions_are_kept_and_none_twice():
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 9.5], [20, 20, 30, 30], [40, 40, 50, 50], [0, 0, 10, 10]]).float()
    losses = torch.tensor([1.0, 0.9, 0.2, 0.5, 0.1])
    kept = hardest(boxes, losses, torch.tensor([0, 0, 0, 0, 1]), 2)
    assert sorted(kept.tolist()) == [0, 3, 4]  # 1 lies on 0; the second image has one region only


def test_hard_examples_change_what_the_second_stage_learns_from(batches):
    plain = made("detect/faster-rcnn", **TINY["detect/faster-rcnn"])
    hard = made("detect/faster-rcnn", **TINY["detect/faster-rcnn"], hard=True)
    assert hard.module.roi_heads.fg_bg_sampler.batch_size_per_image == 4 * 16
    first, second = step(plain, batches.batch(0).source), step(hard, batches.batch(0).source)
    assert first["loss_objectness"] == pytest.approx(second["loss_objectness"])
    assert second["loss_classifier"] != first["loss_classifier"]


def test_the_adversary_learns_from_both_domains_and_is_in_no_checkpoint(batches):
    learner = made("detect/da-faster-rcnn", **TINY["detect/faster-rcnn"])
    losses = step(learner, batches.batch(0))
    assert {"loss_classifier", "domain_image", "domain_region", "domain_consistency"} <= losses.keys()
    assert any(one.grad is not None and one.grad.any() for one in learner.module.aids.parameters())
    plain = made("detect/faster-rcnn", **TINY["detect/faster-rcnn"])
    plain.load_state(learner.state())
    assert any(name.startswith("aids.") for name in learner.module.state_dict())
    other = StreamBatches(source=batches.batch(0).source, target=batches.batch(1).target)
    assert step(made("detect/da-faster-rcnn", **TINY["detect/faster-rcnn"]), other)["domain_image"] != pytest.approx(
        losses["domain_image"], abs=1e-9
    )


@pytest.mark.parametrize("detector", sorted(TINY))
def test_the_teacher_is_believed_after_the_burn_in_and_follows_the_student(batches, detector):
    learner = taught(detector, burn_in=1, decay=0.5, threshold=0.01)
    first = step(learner, batches.batch(0))
    assert not any(name.startswith("target_") for name in first)
    before = {name: tensor.clone() for name, tensor in learner.teacher.module.state_dict().items()}
    box = Detections(np.array([[5, 5, 30, 30]], np.float32), np.array([1]), np.array([0.9], np.float32))
    learner.teacher.predict = lambda images: [box for _ in images]
    second = step(learner, batches.batch(1), 1)
    assert any(name.startswith("target_") for name in second)
    assert not any("box" in name or "giou" in name for name in second if name.startswith("target_"))
    now = learner.student.module.state_dict()
    share = 1 - min(0.5, 2 / 11)
    for name, tensor in learner.teacher.module.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, before[name] + share * (now[name] - before[name]))


def test_only_sure_boxes_teach_and_images_without_any_teach_nothing(batches):
    learner = taught("detect/fcos", burn_in=0, threshold=0.7)
    corners = np.array([[1, 1, 9, 9], [2, 2, 8, 8], [5, 0, 9, 0]], np.float32)  # the last was cut to a line
    sure = Detections(corners, np.array([0, 1, 0]), np.array([0.8, 0.6, 0.9]))
    none = sure.above(2.0)
    learner.teacher.predict = lambda images: [sure, none]
    boxes, labels = learner.drawn(batches.batch(0).target.images)
    assert labels.tolist() == [[0], [-1]] and boxes[0].tolist() == [[1, 1, 9, 9]]
    seen = []
    losses = learner.student.losses
    learner.student.losses = lambda batch, at: seen.append(batch.images) or losses(batch, at)
    step(learner, batches.batch(0))
    assert len(seen) == 2 and torch.equal(seen[1], batches.batch(0).target.strong[:1])
    learner.teacher.predict = lambda images: [none, none]
    assert not any(name.startswith("target_") for name in step(learner, batches.batch(0)))


def test_a_taught_detector_is_restored_from_its_teacher(batches):
    learner = taught("detect/fcos", burn_in=0)
    step(learner, batches.batch(0))
    again = made("detect/mean-teacher", False, detector="detect/fcos", detector_params=TINY["detect/fcos"])
    again.load_state(learner.state())
    learner.train_mode(False)
    again.train_mode(False)
    images = batches.batch(0).source.images
    with torch.inference_mode():
        for one, two in zip(learner.predict(images), again.predict(images), strict=True):
            np.testing.assert_array_equal(one.xyxy, two.xyxy)


def test_what_can_not_be_taught_is_refused():
    with pytest.raises(UsageError, match="params.detector"):
        made("detect/mean-teacher", detector="detect/mean-teacher")
    with pytest.raises(UsageError, match="detector_params.*widht.*width"):
        made("detect/mean-teacher", detector="detect/fcos", detector_params={"widht": 32})
