"""Visual prompt tuning: learned tokens beside the image's own."""

from collections.abc import Callable
from typing import Any

import torch
from pydantic import Field
from torch import nn

from adapters.finetune.full import Full, FullParams
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register

Hook = Callable[..., Any]


class VptParams(FullParams):
    backbone_lr: float = Field(1.0, ge=0, le=10, description="learning rate of the prompts, as a multiple of train.lr")
    prompts: int = Field(8, ge=1, le=256, description="learned tokens")
    deep: bool = Field(True, description="new prompts before every block (VPT-deep) instead of the first only")


@register("finetune/vpt")
class Vpt(Full):
    """Learned tokens are put beside the image's tokens; the transformer itself stays.

    Shallow (eq. 3-5): before the first block, carried along. Deep (eq. 6-8): each block gets its own, and
    those of the block before are dropped. Jia et al. 2022. For plain vision transformers.
    """

    title = "Visual prompt tuning"
    paper = "Jia et al. 2022, Visual Prompt Tuning"
    Params = VptParams
    whole = False

    def adapt(self, context: LearnerContext) -> None:
        backbone = self.module.backbone.requires_grad_(False)
        blocks = transformer_blocks(backbone)
        rows = len(blocks) if self.params.deep else 1
        width = token_width(backbone)
        start = torch.Generator().manual_seed(context.seed)
        bound = (6.0 / (3 * 16 * 16 + width)) ** 0.5  # Xavier's for the embedding of a patch of 16 x 16 pixels
        prompts = (torch.rand(rows, self.params.prompts, width, generator=start) * 2 - 1) * bound
        self.module.prompts = nn.Parameter(prompts.to(next(backbone.parameters()).device))
        for depth, block in enumerate(blocks):
            block.register_forward_pre_hook(self._enter(depth))
        blocks[-1].register_forward_hook(self._leave)
        self._try(context)

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        own = {"params": [self.module.prompts], "lr": lr * self.params.backbone_lr, "weight_decay": 0.0}
        return [own, *super().param_groups(lr, weight_decay)]

    def export_module(self) -> None:
        return None  # no network of the backbone's own layers computes this

    def _enter(self, depth: int) -> Hook:
        """A hook that puts the prompts of this depth behind the first token."""

        def hook(block: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            tokens, *rest = inputs
            if depth > 0 and not self.params.deep:
                return inputs
            prompts = self.module.prompts[depth].expand(tokens.shape[0], -1, -1).to(tokens.dtype)
            after = 1 if depth == 0 else 1 + self.params.prompts
            return (torch.cat([tokens[:, :1], prompts, tokens[:, after:]], dim=1), *rest)

        return hook

    def _leave(self, block: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        tokens = output[0] if isinstance(output, tuple) else output
        tokens = torch.cat([tokens[:, :1], tokens[:, 1 + self.params.prompts :]], dim=1)
        return (tokens, *output[1:]) if isinstance(output, tuple) else tokens

    def _try(self, context: LearnerContext) -> None:
        """One image, so that a network with a fixed number of tokens (relative positions) is refused now."""
        backbone = self.module.backbone
        side, device = backbone.image_size, self.module.prompts.device
        try:
            with torch.no_grad():
                backbone(torch.zeros(1, 3, side, side, device=device))
        except (RuntimeError, ValueError, TypeError) as error:
            raise refusal(backbone.spec) from error


def transformer_blocks(backbone: nn.Module) -> list[nn.Module]:
    """The blocks of a plain vision transformer, in order. Raises UsageError for other networks."""
    blocks = backbone.layers()
    names = [name.lower() for name, _ in backbone.named_modules()]
    plain = backbone.kind == "vit" and len({type(block) for block in blocks}) == 1
    rotary = any("rope" in name for name in names)
    hierarchical = any("downsample" in name for name in names)
    if not plain or rotary or hierarchical:
        raise refusal(backbone.spec)
    return blocks


def token_width(backbone: nn.Module) -> int:
    """D of a plain transformer's tokens."""
    with torch.no_grad():
        device = next(backbone.parameters()).device
        image = torch.zeros(1, 3, backbone.image_size, backbone.image_size, device=device)
        return backbone.tokens(image).shape[-1]


def refusal(spec: str) -> UsageError:
    return UsageError(
        "finetune/vpt: prompts need a plain vision transformer (ViT, DeiT, DINOv2 ...), whose blocks take any number "
        f"of tokens; {spec} is none. finetune/lora fits it."
    )
