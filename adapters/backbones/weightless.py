"""Running a network for its shapes alone: nothing is computed, so that the largest costs milliseconds."""

from typing import Any

import torch
from torch import nn
from torch.func import functional_call


def run_weightless(module: nn.Module, *arguments: Any, **keywords: Any) -> Any:
    """What `module` returns, as tensors on the meta device. Raises what the module raises for wrong shapes."""
    with torch.no_grad():
        return functional_call(module, _weightless(module), arguments, keywords)


def saved_bytes(module: nn.Module, *arguments: Any) -> int:
    """Bytes that a forward pass keeps for the backward pass, parameters aside, each tensor counted once."""
    weightless = {
        name: tensor.requires_grad_(tensor.is_floating_point()) if isinstance(of, nn.Parameter) else tensor
        for (name, tensor), of in zip(_weightless(module).items(), _tensors(module).values(), strict=True)
    }
    own = {tensor.untyped_storage()._cdata for tensor in weightless.values()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address is given out twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        functional_call(module, weightless, arguments)
    return sum(storage.nbytes() for storage in kept.values())


def _weightless(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().to("meta") for name, tensor in _tensors(module).items()}


def _tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
