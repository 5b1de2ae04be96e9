"""SAME padding by the remainder: as much as timm's, and a constant for torch.export."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers import Conv2dSame
from timm.layers.padding import get_same_padding
from timm.layers.pool2d_same import MaxPool2dSame
from timm.layers.std_conv import StdConv2dSame
from torch import nn

from adapters.backbones.padding_by_remainder import padding_by_remainder, same_padding


@given(st.integers(1, 5000), st.integers(1, 11), st.integers(1, 6), st.integers(1, 4))
def test_it_is_as_much_as_timm_has(side, kernel, stride, dilation):
    assert same_padding(side, kernel, stride, dilation) == get_same_padding(side, kernel, stride, dilation)


def test_exported_layers_of_every_kind_give_the_same_at_another_size():
    torch.manual_seed(0)
    network = nn.Sequential(
        Conv2dSame(3, 4, 3, stride=2), Conv2dSame(4, 4, 5, stride=2, dilation=2), StdConv2dSame(4, 2, (3, 2), stride=2),
        MaxPool2dSame(3, stride=2),
    ).eval()  # fmt: skip
    sides = {2: 16 * torch.export.Dim("rows", min=1), 3: 16 * torch.export.Dim("columns", min=1)}
    with padding_by_remainder():
        program = torch.export.export(network, (torch.randn(1, 3, 32, 32),), dynamic_shapes=(sides,))
    large = torch.randn(1, 3, 64, 96)
    assert torch.allclose(program.module()(large), network(large), atol=1e-6)
    *_, rows, columns = list(program.graph.nodes)[-1].args[0][0].meta["val"].shape
    assert len(str(rows)) < 6 and len(str(columns)) < 6  # the side itself, no formula of all layers
