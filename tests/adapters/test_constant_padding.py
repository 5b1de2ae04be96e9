"""SAME convolutions with the padding of one size, for export at any."""

import torch
from timm.layers import Conv2dSame
from torch import nn

from adapters.backbones.constant_padding import constant_padding


def test_at_any_size_in_multiples_of_the_strides_the_outputs_are_those_of_same_convolutions():
    torch.manual_seed(0)
    layers = [
        Conv2dSame(3, 4, 3, stride=2),
        Conv2dSame(4, 4, 5, stride=2, dilation=2),
        Conv2dSame(4, 2, (3, 2), stride=2),
    ]
    network, small, large = nn.Sequential(*layers), torch.randn(1, 3, 32, 32), torch.randn(2, 3, 64, 96)
    expected = network(large)
    with constant_padding(network, small):
        sides = {2: 8 * torch.export.Dim("rows", min=1), 3: 8 * torch.export.Dim("columns", min=1)}
        program = torch.export.export(network, (small,), dynamic_shapes=(sides,))
        assert torch.equal(network(large), expected)
    assert torch.allclose(program.module()(large[:1]), expected[:1], atol=1e-6)
    assert all("forward" not in layer.__dict__ and not layer._forward_pre_hooks for layer in layers)
