"""Where a classifier looks: attention rollout for transformers, Grad-CAM for the rest."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from adapters.finetune.classifier import Classifier


def explain(classifier: Classifier, images: Tensor) -> tuple[str, Tensor]:
    """The method's name and heat [B, h, w] in 0..1 for normalised images [B, 3, H, W].

    Rollout where every attention of the network can be read and covers the whole image, else Grad-CAM.
    """
    attentions = [part for part in classifier.backbone.modules() if _heads(part)]
    blocks = classifier.backbone.layers()
    if classifier.backbone.kind == "vit" and len(attentions) == len(blocks):
        heat = rollout(classifier, attentions, images)
        if heat is not None:
            return "attention rollout", heat
    return "Grad-CAM", grad_cam(classifier, images)


def rollout(classifier: Classifier, attentions: list[nn.Module], images: Tensor) -> Tensor | None:
    """Attention multiplied through the blocks, from the class token or all tokens to the patches.

    A = (mean over heads + identity) / 2 in each block. Abnar and Zuidema 2020, section 4. None where
    the tokens of the blocks don't match, as in windows.
    """
    maps: list[Tensor] = []
    held: dict[str, Tensor] = {}

    def keep(owner: nn.Module, part: str) -> Any:
        def hook(_: nn.Module, __: tuple, output: Tensor) -> None:
            held[part] = output
            if part in ("qkv", "k_proj"):
                maps.append(_attention(owner, held))

        return hook

    hooks = [
        getattr(owner, part).register_forward_hook(keep(owner, part))
        for owner in attentions
        for part in (("qkv",) if hasattr(owner, "qkv") else ("q_proj", "k_proj"))
    ]
    try:
        with torch.no_grad():
            classifier(images)
            patches = classifier.backbone.tokens(images).shape[1]
    finally:
        for hook in hooks:
            hook.remove()
    maps = maps[: len(attentions)]
    side = math.isqrt(patches)
    if len({one.shape for one in maps}) != 1 or len(maps[0]) != len(images) or side * side != patches:
        return None
    total = torch.eye(maps[0].shape[-1], device=images.device).expand(len(images), -1, -1)
    for one in maps:
        total = (0.5 * one + 0.5 * torch.eye(one.shape[-1], device=images.device)) @ total
    tokens = total.shape[-1]
    if tokens < patches:
        return None
    row = total[:, 0] if tokens > patches else total.mean(dim=1)
    return _unit(row[:, tokens - patches :].unflatten(1, (side, side)))


def grad_cam(classifier: Classifier, images: Tensor) -> Tensor:
    """Feature maps weighted by the mean gradient of the best class, negative parts cut. Selvaraju et al. 2017, eq. 1-2.

    On the last block of a CNN; on the last but one of a transformer, whose last passes on the class token only.
    """
    backbone, held = classifier.backbone, []
    layers = backbone.layers()
    layer = layers[-1] if backbone.kind == "cnn" else layers[max(0, len(layers) - 2)]

    def keep(_: nn.Module, __: tuple, output: Any) -> None:
        held.append(output if isinstance(output, Tensor) else output[0])

    hook = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits = classifier(images.detach().requires_grad_(True))
            (slope,) = torch.autograd.grad(logits.max(dim=1).values.sum(), held[:1])
    finally:
        hook.remove()
    maps, slope = _places(held[0].detach(), backbone.kind), _places(slope, backbone.kind)
    return _unit((maps * slope.mean(dim=(2, 3), keepdim=True)).sum(dim=1).relu())


def _places(features: Tensor, kind: str) -> Tensor:
    """Maps [B, C, h, w] of maps, of a transformer's [B, h, w, C], or of tokens [B, N, C], the last square of them."""
    if features.ndim == 4:
        return features if kind == "cnn" else features.permute(0, 3, 1, 2)
    side = math.isqrt(features.shape[1])
    return features[:, features.shape[1] - side * side :].transpose(1, 2).unflatten(2, (side, side))


def _heads(part: nn.Module) -> int:
    """Heads of an attention whose queries and keys can be read; 0 for other modules."""
    if not (hasattr(part, "qkv") or (hasattr(part, "q_proj") and hasattr(part, "k_proj"))):
        return 0
    config = getattr(part, "config", None)
    for name in ("num_heads", "num_attention_heads"):
        count = getattr(part, name, None) or getattr(config, name, None)
        if isinstance(count, int):
            return count
    return 0


def _attention(owner: nn.Module, held: dict[str, Tensor]) -> Tensor:
    """Attention [B, N, N], the mean over heads."""
    heads = _heads(owner)
    query, key = held["qkv"].chunk(3, dim=-1)[:2] if "qkv" in held else (held["q_proj"], held["k_proj"])
    query, key = (one.flatten(1, -2).unflatten(2, (heads, -1)).transpose(1, 2) for one in (query, key))
    query = getattr(owner, "q_norm", nn.Identity())(query)
    key = getattr(owner, "k_norm", nn.Identity())(key)
    return (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(dim=-1).mean(dim=1)


def _unit(heat: Tensor) -> Tensor:
    """Each map scaled to 0..1."""
    low, high = heat.amin(dim=(1, 2), keepdim=True), heat.amax(dim=(1, 2), keepdim=True)
    return (heat - low) / (high - low).clamp(min=1e-12)
