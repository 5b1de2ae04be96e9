"""Every detector builds without a network, learns, and gives back the same boxes from its file."""

import numpy as np
import pytest
import torch
from small_detectors import DETECTORS, SIZE, look, made, small, train
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step
from studio.data.transforms import normalize
from studio.metrics.detection import coco_ap


@pytest.mark.parametrize("method", DETECTORS)
def test_the_loss_falls_and_a_file_gives_the_same_boxes(method, scenes):
    learner = small(method)
    sums = train(learner, scenes, 10, batch_size=8)  # all of them at each step
    assert np.mean(sums[-2:]) < 0.995 * np.mean(sums[:2])
    found = look(learner, scenes)
    again = small(method, weights=False)
    again.load_state({name: tensor.clone() for name, tensor in learner.state().items()})
    for one, two in zip(found, look(again, scenes), strict=True):
        np.testing.assert_array_equal(one.xyxy, two.xyxy)
        np.testing.assert_array_equal(one.scores, two.scores)
        np.testing.assert_array_equal(one.labels, two.labels)
        assert len(one) == 0 or (set(one.labels.tolist()) <= {0, 1} and one.scores.max() <= 1)


@pytest.mark.slow
def test_eight_scenes_are_learned_by_heart(scenes):
    learner = made("detect/fcos")
    train(learner, scenes, 120)
    numbers = coco_ap(scenes[1], look(learner, scenes), ["0", "1"])
    assert numbers["map_50"] >= 0.9


def test_the_same_seed_gives_the_same_detector():
    first, second = made("detect/fcos").state(), made("detect/fcos").state()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_image_without_boxes_has_a_loss_too(scenes):
    pixels, _, preprocess = scenes
    images = normalize(torch.from_numpy(pixels[:2]), preprocess)
    batch = Batch(images=images, boxes=torch.zeros(2, 1, 4), labels=torch.full((2, 1), -1))
    for method in DETECTORS:
        learner = small(method)
        learner.train_mode(True)
        assert torch.isfinite(sum(learner.losses(batch, Step(0, 1)).values())), method


def test_the_backbone_learns_more_slowly_and_keeps_its_statistics(scenes):
    learner = made("detect/fcos", backbone_lr=0.1)
    rates = {round(group["lr"], 9) for group in learner.param_groups(1e-2, 0.0)}
    assert rates == {1e-3, 1e-2}
    counted = [p for group in learner.param_groups(1e-2, 0.0) for p in group["params"]]
    assert len(counted) == len({id(p) for p in counted}) == len(list(learner.module.parameters()))
    before = {name: t.clone() for name, t in learner.state().items() if "running_mean" in name and ".backbone." in name}
    train(learner, scenes, 2)
    assert before and all(torch.equal(learner.state()[name], tensor) for name, tensor in before.items())


def test_any_timm_backbone_with_maps_fits_and_one_without_is_refused(scenes):
    learner = made("detect/fcos", "timm/resnet18?random")
    assert len(look(learner, scenes)) == 8
    small = registry.get("detect/fcos")()
    with pytest.raises(UsageError, match="at least 64"):
        small.setup(LearnerContext(registry.backbone("timm/resnet18?random", image_size=32), ["0"], 0, 32))
    with pytest.raises(UsageError, match="1/8, 1/16 and 1/32"):
        made("detect/fcos", "timm/vit_tiny_patch16_224?random")


def test_default_boxes_of_ssdlite_are_a_tenth_to_nine_tenths_of_the_input(scenes):
    module = small("detect/ssdlite").module
    assert module.anchor_generator.scales == pytest.approx([0.1, 0.26, 0.42, 0.58, 0.74, 0.9, 1.0])
    maps = list(module.backbone(torch.zeros(1, 3, SIZE, SIZE)).values())
    every = module.anchor_generator(ImageList(torch.zeros(1, 3, SIZE, SIZE), [(SIZE, SIZE)]), maps)[0]
    for boxes in scenes[1]:  # each thing has a default box near its own size
        assert box_iou(torch.from_numpy(boxes.xyxy), every).max(dim=1).values.min() > 0.2
