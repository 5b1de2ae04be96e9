"""What a run asks of a device is counted on its network's shapes, before anything is loaded."""

import pytest
import torch
from torch import nn

from adapters.align.deep.run.memory import training_gb
from adapters.backbones.weightless import saved_bytes
from studio.core import recipe as recipes


def test_what_a_forward_pass_keeps_is_each_input_once_and_no_weight() -> None:
    # 8 KB of images and 32 KB of rectified maps are inputs of convolutions; the rectified map is kept once for both
    network = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
    assert saved_bytes(network, torch.empty(1, 2, 32, 32, device="meta")) == 4 * 32 * 32 * (2 + 8)


def test_the_lab_on_office_31_needs_less_than_11_gb_at_its_defaults() -> None:
    recipe = recipes.load("office31-dann")
    needed = training_gb(recipe, recipe.method_class())
    assert 6 < needed < 11  # resnet50, 64 images of 224 pixels, single precision: 86 MB of maps an image
    smaller = recipes.load("office31-dann", ["train.micro_batch=8"])
    assert training_gb(smaller, smaller.method_class()) == pytest.approx(0.8 + (needed - 0.8) / 4, rel=0.2)


def test_a_backbone_that_is_not_to_be_had_does_not_stop_the_filing() -> None:
    recipe = recipes.load("office31-dann", ["model.backbone=timm/no_such_net"])
    assert training_gb(recipe, recipe.method_class()) == 2.0
