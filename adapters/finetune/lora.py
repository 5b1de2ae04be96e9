"""LoRA: low-rank updates of the weight matrices."""

import copy
from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from adapters.backbones.seeds import seeded
from adapters.finetune.full import Full, FullParams
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register

ATTENTION = ("attn", "attention")
POSITIONS = ("cpb", "rel_pos", "position")  # small networks that make position biases, not features


class LoraParams(FullParams):
    backbone_lr: float = Field(1.0, ge=0, le=10, description="learning rate of the updates, as a multiple of train.lr")
    rank: int = Field(8, ge=1, le=512, description="rank of each update")
    alpha: float = Field(16.0, gt=0, description="updates are scaled by alpha / rank")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the input of each update")
    targets: Literal["attention", "all"] = Field("attention", description="which layers get an update")


@register("finetune/lora")
class Lora(Full):
    """Weights stay; beside each chosen matrix a product of two thin ones is trained.

    W x + (alpha / r) B A x, B starting at zero: Hu et al. 2022, section 4.1. The layers are found by
    walking the module tree: linear layers inside attention (timm's fused `qkv`, transformers' `q_proj`
    alike), or all; 1x1 convolutions where a network has no attention.
    """

    title = "LoRA"
    paper = "Hu et al. 2022, LoRA: Low-Rank Adaptation of Large Language Models"
    formula = r"W' = W + \frac{\alpha}{r} B A, \qquad B \in \mathbb{R}^{d \times r}, \; A \in \mathbb{R}^{r \times k}"
    Params = LoraParams
    whole = False

    def adapt(self, context: LearnerContext) -> None:
        params, backbone = self.params, self.module.backbone
        targets = find_targets(backbone, params.targets)
        add_updates(backbone, targets, context.seed, params.rank, params.alpha, params.lora_dropout)

    def export_module(self) -> nn.Module:
        return merged(self.module)


def add_updates(
    backbone: nn.Module, targets: list[str], seed: int, rank: int, alpha: float, dropout: float = 0.0
) -> None:
    """Low-rank updates beside the layers `targets` of a backbone, of which nothing else is trained then."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets)
    with seeded(seed):
        inject_adapter_in_model(config, backbone)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_("lora_" in name)


def merged(module: nn.Module) -> nn.Module:
    """A copy with the updates added into the weights: a network of its own layers alone."""
    from peft.tuners.lora import LoraLayer

    module = copy.deepcopy(module)
    for name, part in list(module.named_modules()):
        if isinstance(part, LoraLayer):
            part.merge()
            module.set_submodule(name, part.get_base_layer())
    return module


def find_targets(backbone: nn.Module, which: str, look: Callable[[], Any] | None = None) -> list[str]:
    """Names of the layers that get an update. Raises UsageError where a network has none.

    `look` runs an image through the backbone, where it does not take one itself. Only layers that are called as such:
    some networks reach for the weight of a layer and multiply themselves (EVA-02's and Swin v2's `qkv`), past any
    update.
    """
    called = called_layers(backbone, look or _own_look(backbone))
    linear = [name for name, layer in called.items() if isinstance(layer, nn.Linear)]
    linear = [name for name in linear if not any(part in name.lower() for part in POSITIONS)]
    inside = [name for name in linear if any(part in name.lower() for part in ATTENTION)]
    pointwise = [
        name
        for name, layer in called.items()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1
    ]
    found = (inside if which == "attention" else []) or linear or pointwise
    if not found:
        raise UsageError(
            "LoRA: this backbone has no linear layer and no 1x1 convolution to update. finetune/bitfit trains biases."
        )
    return found


def called_layers(backbone: nn.Module, look: Callable[[], Any]) -> dict[str, nn.Module]:
    """Linear and convolution layers by name that one `look` runs through, in the order of the tree."""
    seen: set[nn.Module] = set()
    layers = {name: part for name, part in backbone.named_modules() if isinstance(part, (nn.Linear, nn.Conv2d))}
    hooks = [part.register_forward_hook(lambda part, *_: seen.add(part)) for part in layers.values()]
    try:
        with torch.no_grad():
            look()
    finally:
        for hook in hooks:
            hook.remove()
    return {name: part for name, part in layers.items() if part in seen}


def _own_look(backbone: nn.Module) -> Callable[[], Any]:
    device = next(backbone.parameters()).device
    return lambda: backbone(torch.zeros(1, 3, backbone.image_size, backbone.image_size, device=device))
