"""LPIPS where its weights are at hand: the maps that it weighs, at the image's own size, and its name."""

import numpy as np
import pytest
import torch
from torchvision.models.vgg import make_layers

from adapters.translate.run.features import Features
from adapters.translate.run.lpips_heads import NETWORK, lpips_heads
from studio.data.preprocess import Preprocess
from studio.metrics.translation import perceptual_distance

WIDTHS = (2, 3, 4, 5, 6)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def heads(tmp_path, monkeypatch) -> list[torch.Tensor]:
    """A package lpips whose learned weights are random; they are returned."""
    made = [torch.rand(1, width, 1, 1) for width in WIDTHS]
    (tmp_path / "lpips" / "weights" / "v0.1").mkdir(parents=True)
    (tmp_path / "lpips" / "__init__.py").write_text("raise ImportError('it is not to be imported')")
    stored = {f"lin{place}.model.1.weight": head for place, head in enumerate(made)}
    torch.save(stored, tmp_path / "lpips" / "weights" / "v0.1" / "vgg.pth")
    monkeypatch.syspath_prepend(tmp_path)
    return made


def small_vgg() -> torch.nn.Module:
    """The layers of VGG-16, with few channels."""
    blocks = [[width] * count for width, count in zip(WIDTHS, (2, 2, 3, 3, 3), strict=True)]
    layers = make_layers([layer for block in blocks for layer in [*block, "M"]]).eval()
    backbone = torch.nn.Module()
    backbone.module = torch.nn.Module()
    backbone.module.features = layers
    backbone.spec, backbone.preprocess = NETWORK, Preprocess(16, 1.0, "bicubic", MEAN, DEVIATION)
    return backbone


def test_pairs_are_compared_as_lpips_does(heads) -> None:
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 256, (3, 34, 37), dtype=np.uint8) for _ in range(2)]
    backbone = small_vgg()
    features = Features(backbone, "cpu")
    assert features.distance == "lpips"
    found = perceptual_distance(*features.maps(images), features.heads)
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    expected, seen = 0.0, [(torch.from_numpy(image)[None] / 255 - mean) / deviation for image in images]
    with torch.no_grad():
        taps = iter(heads)
        for place, layer in enumerate(backbone.module.features):
            seen = [layer(values) for values in seen]
            if place in (3, 8, 15, 22, 29):
                own, other = (torch.nn.functional.normalize(values, dim=1) for values in seen)
                expected += float((next(taps) * (own - other) ** 2).sum(1).mean())
    assert found == pytest.approx(expected, rel=1e-4)


def test_another_network_is_not_weighed_and_called_otherwise(heads) -> None:
    assert lpips_heads("pip/tf_efficientnet_lite0") is None
    assert len(lpips_heads(NETWORK)) == 5
