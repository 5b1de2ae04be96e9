"""Running a network for its shapes alone: nothing is computed, so that the largest costs milliseconds."""

from typing import Any

import torch
from torch import nn
from torch.func import functional_call


def run_weightless(module: nn.Module, *arguments: Any, **keywords: Any) -> Any:
    """What `module` returns, as tensors on the meta device. Raises what the module raises for wrong shapes."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    weightless = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
    with torch.no_grad():
        return functional_call(module, weightless, arguments, keywords)
