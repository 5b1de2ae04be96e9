"""Prototypes are the mean directions under the masks, and name what looks like them."""

import numpy as np
import pytest
import torch
from inline_runs import work
from small_networks import RUN, SIZE, TINY

from adapters.segment.prototypes import coverage
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.data.masks.class_map import VOID


def solved(parts: int):
    cls = registry.get("segment/prototypes")
    learner = cls(cls.Params(parts=parts))
    learner.setup(LearnerContext(registry.backbone(TINY, image_size=SIZE), ["a", "b", "never"], 0, SIZE))
    learner.train_mode(False)
    draw = torch.Generator().manual_seed(0)
    images = torch.cat(
        [torch.randn(2, 3, SIZE, SIZE // 2, generator=draw), torch.full((2, 3, SIZE, SIZE // 2), 2.0)], 3
    )
    masks = torch.zeros(2, SIZE, SIZE, dtype=torch.uint8)
    masks[:, :, SIZE // 2 :] = 1
    masks[:, :4] = VOID
    learner.solve([(images, masks)])
    return learner, images, masks


@pytest.mark.parametrize("parts", [1, 3])
def test_what_was_shown_is_named_and_what_was_not_never_is(parts):
    learner, images, masks = solved(parts)
    with torch.inference_mode():
        found = learner.predict(images)
    guess = torch.nn.functional.interpolate(found, (SIZE, SIZE), mode="bilinear").argmax(1)
    known = masks != VOID
    assert (guess[known] == masks[known]).float().mean() > 0.9 and (guess != 2).all()


def test_one_prototype_is_the_mean_of_the_directions_under_its_mask():
    learner, images, masks = solved(1)
    with torch.inference_mode():
        features = learner.module.features(images).double()
    covered = coverage(masks, 3, features.shape[-2:])
    rows = [features.permute(0, 2, 3, 1)[covered[:, label] >= 0.5] for label in (0, 1)]
    centre = (rows[0].mean(0) + rows[1].mean(0)) / 2
    for label in (0, 1):
        directions = torch.nn.functional.normalize(rows[label] - centre, dim=1)
        expected = torch.nn.functional.normalize(directions.mean(0), dim=0)
        np.testing.assert_allclose(learner.module.prototypes[label, 0].numpy(), expected.numpy(), atol=1e-5)


def test_coverage_is_the_share_of_a_place():
    masks = torch.tensor([[[0, 1, 1, 1], [0, VOID, 1, 1]]], dtype=torch.uint8)
    found = coverage(masks, 2, torch.Size([1, 2]))
    torch.testing.assert_close(found, torch.tensor([[[[0.5, 0.0]], [[0.25, 1.0]]]]))


def test_a_run_solves_them_and_leaves_a_checkpoint(home):
    run, result = work({**RUN, "method": "segment/prototypes", "params": {}}, home)
    assert result.status == "finished", result.error
    assert result.metrics["miou"] > 0 and result.checkpoint
