"""What a run asks of a device is counted on its network's shapes, before anything is loaded."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from adapters.align.deep.run.memory import training_gb
from adapters.backbones.weightless import saved_bytes
from studio.core import recipe as recipes
from studio.core.home import Home


def test_what_a_forward_pass_keeps_is_each_input_once_and_no_weight() -> None:
    # 8 KB of images and 32 KB of rectified maps are inputs of convolutions; the rectified map is kept once for both
    network = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
    assert saved_bytes(network, torch.empty(1, 2, 32, 32, device="meta")) == 4 * 32 * 32 * (2 + 8)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.find(tmp_path / "home")


def needed_by(home: Home, *settings: str) -> float:
    recipe = recipes.load("office31-dann", list(settings))
    return training_gb(recipe, recipe.method_class(), home)


def test_the_lab_on_office_31_needs_less_than_11_gb_at_its_defaults(home: Home) -> None:
    needed = needed_by(home)
    assert 6 < needed < 11  # resnet50, 64 images of 224 pixels, single precision: 86 MB of maps an image
    assert needed_by(home, "train.micro_batch=8") == pytest.approx(0.8 + (needed - 0.8) / 4, rel=0.2)


def test_a_folder_of_transformers_is_counted_on_its_config_alone(home: Home, tmp_path: Path) -> None:
    config = {"model_type": "vit", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config |= {"intermediate_size": 128, "image_size": 224, "patch_size": 16}
    (tmp_path / "config.json").write_text(json.dumps(config))
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 224, "image_processor_type": "ViTImageProcessor"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(half))
    needed = [needed_by(home, f"model.backbone=file:{tmp_path}", f"train.batch_size={size}") for size in (32, 320)]
    assert 0.8 < needed[0] < needed[1] != 2.0
    visitor = home.seen_by("a" * 32)
    assert needed_by(visitor, f"model.backbone=file:{tmp_path}") == 2.0  # whose folder it is not


def test_a_backbone_that_is_not_to_be_had_does_not_stop_the_filing(home: Home) -> None:
    assert needed_by(home, "model.backbone=timm/no_such_net") == 2.0
