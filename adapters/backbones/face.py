"""The face that every backbone shows, wherever it came from."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from adapters.backbones.layer_groups import parameters_by_depth, units
from adapters.backbones.weightless import run_weightless
from studio.core.errors import UsageError, one_line
from studio.data.preprocess import Preprocess


class Backbone(nn.Module):
    """A network from normalised images [B, 3, H, W] to features [B, D].

    spec          as named in the recipe
    module        the network of timm, transformers or our own, without a classifier
    preprocess    how an image becomes its input
    architecture  plain data from which the same network is built without its weights
    dim           D
    kind          "vit" where the network works on tokens, "cnn" where it works on feature maps

    source_head   the linear classifier it was pretrained with, where one came along; no part of the network

    A subclass says how to call its library: `_embed`, `_features`, and where they differ `_trunk`, `_depth_names`.
    """

    source_head: nn.Linear | None = None

    def __init__(
        self, module: nn.Module, preprocess: Preprocess, architecture: dict[str, Any], in_chans: int = 3
    ) -> None:
        super().__init__()
        self.spec = ""
        self.module = module.eval()
        self.preprocess = preprocess
        self.architecture = architecture
        self.in_chans = in_chans
        self._hashed: tuple[Any, str] = (None, "")
        pooled, features = self._shapes()
        self.dim = pooled[-1]
        self.kind: Literal["cnn", "vit"] = "cnn" if len(features) == 4 else "vit"

    @property
    def image_size(self) -> int:
        """Side of the square input in pixels."""
        return self.preprocess.image_size

    def embed(self, images: Tensor) -> Tensor:
        """Features [B, D] of normalised images [B, 3, H, W], pooled as the network's own classifier has them."""
        return self._embed(self._channels(images))

    forward = embed

    def tokens(self, images: Tensor) -> Tensor:
        """Features [B, N, D] of each place in the image, row by row: patch tokens, without class tokens."""
        features = self._features(self._channels(images))
        return features.flatten(2).transpose(1, 2) if features.ndim == 4 else features

    def feature_map(self, images: Tensor) -> Tensor:
        """Features [B, C, h, w] before pooling; a transformer's patch tokens laid out as they lie in the image."""
        features = self._features(self._channels(images))
        if features.ndim == 4:
            return features
        height = round((features.shape[1] * images.shape[-2] / images.shape[-1]) ** 0.5)
        return features.transpose(1, 2).unflatten(2, (height, -1))

    def layers(self) -> list[nn.Module]:
        """The repeated blocks (transformer blocks, residual blocks), first to last."""
        return units(self._trunk())

    def blocks(self) -> list[list[nn.Module]]:
        """All parameters in groups from input to output (stem, block 1 .. L), each parameter exactly once.

        What follows the last block belongs to it. A group lists the innermost modules that own its parameters;
        those that hang on an outer module (class token, position embedding) come as a ParameterList.
        """
        owners = dict(self.module.named_modules())
        parameters = dict(self.module.named_parameters())
        groups = []
        for names in self._depth_names():
            held: dict[str, list[nn.Parameter]] = {}
            for name in names:
                held.setdefault(name.rpartition(".")[0], []).append(parameters[name])
            groups.append([_holder(owners[owner], inside) for owner, inside in held.items()])
        return groups

    def freeze(self, groups: int | None = None) -> "Backbone":
        """Stops learning in the first `groups` of `blocks()`, by default in all of them; returns itself.

        A part of which every parameter is frozen stays in eval mode under `train()`: its batch-norm statistics
        stand still and nothing in it is dropped.
        """
        for group in self.blocks()[:groups]:
            for part in group:
                part.requires_grad_(False)
        return self.train(self.training)

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        for part in self.modules() if mode else ():
            learning = [parameter.requires_grad for parameter in part.parameters()]
            if learning and not any(learning):
                part.eval()
        return self

    def state(self) -> dict[str, Tensor]:
        """The tensors of `module` by name: all that a file needs to hold."""
        return self.module.state_dict()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`. Raises UsageError where names or shapes don't fit."""
        try:
            self.module.load_state_dict(state)
        except RuntimeError as error:
            raise UsageError(
                f"model.backbone: these tensors are not those of {self.spec}: {one_line(error)}"
            ) from error

    @property
    def hash(self) -> str:
        """SHA-256 (32 hex digits) over the architecture and all tensors in name order; follows changes of weights."""
        state = self.state()
        stamp = [(tensor.data_ptr(), tensor._version) for tensor in state.values()]
        if self._hashed[0] != stamp:
            self._hashed = (stamp, _digest(self._identity(), state))
        return self._hashed[1]

    def keep_source_head(self, head: nn.Module | None) -> "Backbone":
        """Remembers `head` where it is one linear layer, beside the network's own modules; returns itself."""
        if isinstance(head, nn.Linear):
            object.__setattr__(self, "source_head", head.requires_grad_(False))
        return self

    def save_hugging_face(self, head: nn.Linear, classes: list[str], folder: Path) -> None:
        """Writes the network with `head` for `AutoModelForImageClassification`; raises UsageError where it can't be."""
        from adapters.backbones.hf_export import save_hugging_face

        save_hugging_face(self, head, classes, folder)

    def extra_repr(self) -> str:
        return f"{self.spec}, {self.kind}, dim={self.dim}, image_size={self.image_size}"

    def _embed(self, images: Tensor) -> Tensor:
        """[B, in_chans, H, W] -> [B, D]."""
        raise NotImplementedError

    def _features(self, images: Tensor) -> Tensor:
        """[B, in_chans, H, W] -> patch tokens [B, N, D] or a feature map [B, C, h, w]."""
        raise NotImplementedError

    def _both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self._embed(images), self._features(images)

    def _trunk(self) -> nn.Module:
        """The part of `module` that all depth lies in."""
        return self.module

    def _depth_names(self) -> list[list[str]]:
        """Names of all parameters, grouped from input to output."""
        return parameters_by_depth(self.module, self.layers())

    def _identity(self) -> dict[str, Any]:
        """What of the architecture decides what the weights compute."""
        return self.architecture

    def _channels(self, images: Tensor) -> Tensor:
        return images.mean(dim=1, keepdim=True) if self.in_chans == 1 and images.shape[1] == 3 else images

    def _shapes(self) -> tuple[torch.Size, torch.Size]:
        """Shapes of `_embed` and `_features` for one image, found without computing anything."""
        image = torch.empty(1, self.in_chans, self.image_size, self.image_size, device="meta")
        pooled, features = run_weightless(_Both(self), image)
        return pooled.shape, features.shape


class _Both(nn.Module):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.backbone._both(images)


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """The layer with these tensors [C, D] and [C]."""
    layer = nn.Linear(*reversed(weight.shape))
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def _holder(owner: nn.Module, parameters: list[nn.Parameter]) -> nn.Module:
    """`owner` where these are all its parameters, else a list of them."""
    return owner if len(list(owner.parameters())) == len(parameters) else nn.ParameterList(parameters)


def _digest(identity: dict[str, Any], state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:32]
