"""LoRA in a detector of transformers: attention gets low-rank updates, heads learn, all else stays."""

import copy
import re

from torch import nn

from adapters.backbones.seeds import seeded

HEADS = ("bbox", "box_embed")  # parts of names of what places boxes


def add_updates(module: nn.Module, rank: int, heads: list[str], seed: int) -> None:
    """Puts an update beside each linear layer of an attention; then only updates and heads learn.

    W x + 2 B A x, B starting at zero: Hu et al. 2022, section 4.1. `heads` are patterns in the names of heads.
    """
    from peft import LoraConfig, inject_adapter_in_model

    holder = nn.ModuleDict({"all": module})  # peft asks a model of transformers for word embeddings, which it has not
    targets = [
        name for name, part in holder.named_modules()
        if isinstance(part, nn.Linear) and ("attn" in name or "attention" in name)
    ]  # fmt: skip
    with seeded(seed):
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets), holder)
    for name, parameter in module.named_parameters():
        learns = "lora_" in name or any(re.search(pattern, name) for pattern in (*heads, *HEADS))
        parameter.requires_grad_(learns)


def merged(module: nn.Module) -> nn.Module:
    """A copy with the updates added into the weights."""
    from peft.tuners.lora import LoraLayer

    made = copy.deepcopy(module)
    for name, part in list(made.named_modules()):
        if isinstance(part, LoraLayer):
            part.merge()
            made.set_submodule(name, part.get_base_layer())
    return made
