"""Where in a network a parameter lies: its repeated blocks, and all parameters from input to output."""

from torch import nn


def units(root: nn.Module) -> list[nn.Module]:
    """The repeated blocks below `root`, in order: composite items of its lists; stages are opened to their blocks."""
    found: list[nn.Module] = []
    for child in root.children():
        if isinstance(root, (nn.ModuleList, nn.Sequential)) and _is_unit(child):
            found.append(child)
        else:
            found += units(child)
    return found


def parameters_by_depth(root: nn.Module, layers: list[nn.Module]) -> list[list[str]]:
    """Names of all parameters of `root`: stem first, then those of each layer with what follows it."""
    layer_of = {id(part): index for index, layer in enumerate(layers, 1) for part in layer.modules()}
    groups: list[list[str]] = [[] for _ in range(len(layers) + 1)]
    depth = 0
    for owner_name, owner in root.named_modules():
        depth = layer_of.get(id(owner), depth)
        for name, _ in owner.named_parameters(owner_name, recurse=False):
            groups[depth].append(name)
    return [group for group in groups if group]


def _is_unit(module: nn.Module) -> bool:
    composite = next(module.children(), None) is not None and next(module.parameters(), None) is not None
    return composite and not isinstance(module, (nn.ModuleList, nn.Sequential)) and "Stage" not in type(module).__name__
