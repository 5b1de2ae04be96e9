"""Visual prompt tuning: learned tokens beside the image's own."""

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.finetune.full import Full, FullParams
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register


class VptParams(FullParams):
    backbone_lr: float = Field(1.0, ge=0, le=10, description="learning rate of the prompts, as a multiple of train.lr")
    prompts: int = Field(8, ge=1, le=256, description="learned tokens")
    deep: bool = Field(True, description="new prompts before every block (VPT-deep) instead of the first only")


@register("finetune/vpt")
class Vpt(Full):
    """Learned tokens are put beside the image's tokens; the transformer itself stays.

    Shallow (eq. 3-5): before the first block, carried along. Deep (eq. 6): each block gets its own, and
    those of the block before are dropped. Jia et al. 2022. For plain vision transformers.
    """

    title = "Visual prompt tuning"
    paper = "Jia et al. 2022, Visual Prompt Tuning"
    Params = VptParams
    whole = False

    def setup(self, context: LearnerContext) -> nn.Module:
        module = super().setup(context)
        backbone = self.module.backbone
        backbone.requires_grad_(False)
        blocks = transformer_blocks(backbone)
        start = torch.Generator().manual_seed(context.seed)
        rows = len(blocks) if self.params.deep else 1
        width = next(p for p in blocks[0].parameters() if p.ndim == 1).shape[0]
        scale = (6.0 / (3 * 16 * 16 + width)) ** 0.5  # Xavier bound of a 16 px patch embedding, as in the paper's code
        prompts = (torch.rand(rows, self.params.prompts, width, generator=start) * 2 - 1) * scale
        self.module.prompts = nn.Parameter(prompts)
        for depth, block in enumerate(blocks):
            block.register_forward_pre_hook(self._enter(depth))
        blocks[-1].register_forward_hook(self._leave)
        return module

    def param_groups(self, lr: float, weight_decay: float) -> list[dict]:
        own = {"params": [self.module.prompts], "lr": lr * self.params.backbone_lr, "weight_decay": 0.0}
        return [own, *super().param_groups(lr, weight_decay)]

    def _enter(self, depth: int):
        """A hook that puts the prompts of this depth behind the first token."""

        def hook(block: nn.Module, inputs: tuple) -> tuple:
            tokens, *rest = inputs
            if depth > 0 and not self.params.deep:
                return inputs
            prompts = self.module.prompts[depth].expand(len(tokens), -1, -1).to(tokens.dtype)
            after = 1 if depth == 0 else 1 + self.params.prompts
            return (torch.cat([tokens[:, :1], prompts, tokens[:, after:]], dim=1), *rest)

        return hook

    def _leave(self, block: nn.Module, inputs: tuple, output: Tensor | tuple) -> Tensor | tuple:
        tokens = output[0] if isinstance(output, tuple) else output
        tokens = torch.cat([tokens[:, :1], tokens[:, 1 + self.params.prompts :]], dim=1)
        return (tokens, *output[1:]) if isinstance(output, tuple) else tokens


def transformer_blocks(backbone: nn.Module) -> list[nn.Module]:
    """The blocks of a plain vision transformer, in order. Raises UsageError for other networks."""
    lists = [part for part in backbone.modules() if isinstance(part, (nn.ModuleList, nn.Sequential)) and len(part) > 1]
    plain = [part for part in lists if len({type(block) for block in part}) == 1 and _has_attention(part[0])]
    rotary = any("rope" in name.lower() for name, _ in backbone.named_modules())
    hierarchical = any("downsample" in name.lower() for name, _ in backbone.named_modules())
    if len(plain) != 1 or rotary or hierarchical:
        raise UsageError(
            "finetune/vpt: prompts need a plain vision transformer (ViT, DeiT, DINOv2, BEiT ...); "
            "finetune/lora fits this backbone."
        )
    return list(plain[0])


def _has_attention(block: nn.Module) -> bool:
    return any("attn" in name.lower() or "attention" in name.lower() for name, _ in block.named_modules())
