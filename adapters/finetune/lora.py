"""LoRA: low-rank updates of the weight matrices."""

from typing import Literal

from pydantic import Field
from torch import nn

from adapters.finetune.full import Full, FullParams
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register

ATTENTION = ("attn", "attention")


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
    Params = LoraParams
    whole = False

    def setup(self, context: LearnerContext) -> nn.Module:
        from peft import LoraConfig, inject_adapter_in_model

        module = super().setup(context)
        params = self.params
        config = LoraConfig(
            r=params.rank,
            lora_alpha=params.alpha,
            lora_dropout=params.lora_dropout,
            target_modules=find_targets(self.module.backbone, params.targets),
        )
        inject_adapter_in_model(config, self.module.backbone)
        for name, parameter in self.module.backbone.named_parameters():
            parameter.requires_grad_("lora_" in name)
        return module


def find_targets(backbone: nn.Module, which: str) -> list[str]:
    """Names of the layers that get an update. Raises UsageError where a network has none."""
    layers = dict(backbone.named_modules())
    linear = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)]
    if which == "attention":
        linear = [name for name in linear if any(part in name.lower() for part in ATTENTION)]
    pointwise = [
        name
        for name, layer in layers.items()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1
    ]
    found = linear or pointwise
    if not found:
        raise UsageError("finetune/lora: this backbone has no linear layer and no 1x1 convolution to update.")
    return found
