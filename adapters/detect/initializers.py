"""How the papers' own code starts its layers, where transformers starts them otherwise.

It draws nearly all from one narrow normal distribution, and with them DETR's queries, which are then so much alike that
they take thousands of steps to part.
"""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import nn


def as_torch(*roots: nn.Module) -> None:
    """Layers below `roots` start as torch has them, embeddings from N(0, 1); what starts at zero stays there."""
    for layer in _layers(roots):
        layer.reset_parameters()  # type: ignore[operator]


def xavier(*roots: nn.Module) -> None:
    """Linear layers and convolutions below `roots` start as Glorot and Bengio (2010) have them, biases at zero."""
    for layer in _layers(roots):
        if not isinstance(layer, nn.Embedding):
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def attentions(module: nn.Module) -> list[nn.Module]:
    return [part for name, part in module.named_modules() if name.endswith("_attn")]


def prior_bias(chance: float, *heads: nn.Linear) -> None:
    """Each class starts with this probability; 0.01 in the paper of the focal loss (Lin et al. 2017, section 3.3)."""
    for head in heads:
        nn.init.constant_(head.bias, math.log(chance / (1 - chance)))


def zero_last_layer(*heads: nn.Module) -> None:
    """Boxes start where their queries are: the last layer of each head is zero."""
    for head in heads:
        last = head.layers[-1]  # type: ignore[index]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


def unit_norms(module: nn.Module) -> None:
    """Batch norms start at scale 1: transformers draws it from N(0, 0.01), which all but stops the maps behind it."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)


def _layers(roots: Iterable[nn.Module]) -> Iterator[nn.Module]:
    for root in roots:
        for part in root.modules():
            if isinstance(part, (nn.Linear, nn.Conv2d, nn.Embedding)) and torch.any(part.weight):
                yield part
