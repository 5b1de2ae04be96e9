"""A backbone without its batch norms gives the same features, or is not used."""

import torch
from torch import nn

from studio.data.features.fuse_batchnorm import folded
from studio.data.preprocess import Preprocess


class Network(nn.Module):
    """Batch norms of three kinds: one that can be folded, one whose input goes on elsewhere, one before its layer."""

    def __init__(self, skip):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.second, self.other = nn.Conv2d(6, 6, 3, groups=2), nn.BatchNorm2d(6)
        self.early, self.skip = nn.BatchNorm2d(3), skip
        self.preprocess, self.dim, self.hash = Preprocess(16), 6, "h"
        for part in (self.norm, self.other, self.early):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
        self.eval()

    def embed(self, images):
        x = self.norm(self.first(self.early(images))).relu()
        y = self.second(x)
        z = self.other(y)
        return (z + y if self.skip else z).mean((2, 3))


def norms(module):
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def test_folding_spares_the_norms_after_convolutions_and_changes_nothing():
    network = Network(skip=False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    lean = folded(network)
    images = torch.randn(3, 3, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(lean.embed(images), network.embed(images), rtol=1e-5, atol=1e-6)
    assert norms(lean) == 1 and norms(network) == 3
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_norm_that_can_not_be_spared_leaves_the_backbone_as_it_is():
    network = Network(skip=True)
    assert folded(network) is network
    plain = nn.Linear(2, 2)
    plain.preprocess, plain.embed = Preprocess(4), lambda images: images.mean((2, 3))
    assert folded(plain) is plain


def test_a_norm_still_in_training_is_left_alone():
    network = Network(skip=False)
    network.norm.train()
    network.other.train()
    assert folded(network) is network


def test_folding_draws_no_random_numbers():
    network = Network(skip=False)
    state = torch.get_rng_state()
    folded(network)
    assert torch.equal(torch.get_rng_state(), state)


def test_timms_efficientnet_folds_whole():
    import timm

    class Timm(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
            self.preprocess, self.dim, self.hash = Preprocess(64), 1280, "h"

        def embed(self, images):
            return self.module(images)

    lean = folded(Timm())
    assert norms(lean) == 0
