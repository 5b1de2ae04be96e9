"""EoMT: queries that join the patches of a plain transformer in its last blocks; there is no decoder."""

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones import hf_model
from adapters.backbones.hf_segmenter import HFEomt
from adapters.segment.base import SegmentParams
from adapters.segment.hf_base import gone_on, labelled
from adapters.segment.queries import Queries, QuerySegmenter
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Batch, Step

ENCODERS = ("dinov2", "dinov2_with_registers")
SAME = ("hidden_size", "num_hidden_layers", "num_attention_heads", "mlp_ratio", "patch_size", "layer_norm_eps",
        "layerscale_value", "use_swiglu_ffn", "hidden_act")  # fmt: skip


class EomtParams(SegmentParams):
    queries: int = Field(50, ge=2, le=1000, description="masks that are drawn; 100 to 200 in the paper")
    blocks: int = Field(4, ge=1, le=24, description="last blocks that queries take part in; 4 in the paper")
    points: int = Field(
        1024, ge=16, le=100_000, description="places at which masks are compared in training; 12544 in the paper"
    )
    backbone_lr: float = Field(
        0.3, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr; 0 leaves it as it is"
    )


@register("segment/eomt")
class Eomt(QuerySegmenter):
    """A plain transformer, made by DINOv2, is told by queries in its last blocks what to draw.

    In training queries look through the masks of before, block after block ever less (mask annealing, section 3.3), so
    that no mask is needed afterwards. transformers' model; its encoder is the backbone: a folder such as that of
    facebook/dinov2-with-registers-small, or one of a config and weights of your own. A folder of a whole EoMT is gone
    on from: `queries` and `blocks` are its own then, and classes it knows by name keep their weights.
    """

    title = "EoMT"
    paper = "Kerssies et al. 2025, Your ViT is Secretly an Image Segmentation Model, CVPR"
    Params = EomtParams
    processor: ClassVar[str] = "EomtImageProcessor"

    def build(self, context: LearnerContext) -> nn.Module:
        model = self._pretrained(context) if isinstance(context.backbone, HFEomt) else self._on(context)
        self._backbone = nn.ModuleList([model.embeddings, model.layers, model.layernorm])
        return Queries(model, any_size=False)

    def _pretrained(self, context: LearnerContext) -> nn.Module:
        return gone_on(context.backbone, context.classes, "class_predictor.", train_num_points=self.params.points)

    def _on(self, context: LearnerContext) -> nn.Module:
        """A model with the encoder of a backbone, and untrained queries."""
        from transformers import EomtConfig, EomtForUniversalSegmentation

        encoder = _encoder(context.backbone)
        given, layers = encoder.config, encoder.config.num_hidden_layers
        config = EomtConfig(
            **{name: getattr(given, name) for name in SAME}, image_size=context.image_size,
            num_blocks=min(self.params.blocks, layers), num_queries=self.params.queries,
            num_register_tokens=getattr(given, "num_register_tokens", 0), train_num_points=self.params.points,
            **labelled(context.classes),
        )  # fmt: skip
        with hf_model.quiet():
            model = EomtForUniversalSegmentation(config).float()
        model.load_state_dict(renamed(encoder.state_dict()), strict=False)
        return model

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        masked = self.module.model.attn_mask_probs
        masked.copy_(torch.tensor(annealed(at.progress, len(masked))))
        return super().losses(batch, at)

    def train_mode(self, training: bool) -> None:
        super().train_mode(training)
        if not training:
            self.module.model.attn_mask_probs.zero_()


def annealed(progress: float, blocks: int, power: float = 0.9) -> list[float]:
    """How many of the queries look through their masks, in each block: all, then ever fewer, one block after the other.

    Each falls as (1 - p)^0.9 within a part of the training of its own; the first and the last part change nothing.
    """
    parts = blocks + 2
    return [(1 - min(1.0, max(0.0, progress * parts - 1 - block))) ** power for block in range(blocks)]


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """DINOv2's tensors by the names of EoMT, which adds the position of its class token to the token itself."""
    out = {
        name.replace("encoder.layer.", "layers.").replace("attention.o_proj.", "attention.out_proj."): tensor
        for name, tensor in state.items()
        if name != "embeddings.mask_token"
    }
    positions = out.pop("embeddings.position_embeddings")
    out["embeddings.position_embeddings.weight"] = positions[0, 1:]
    out["embeddings.cls_token"] = out["embeddings.cls_token"] + positions[:, :1]
    return out


def _encoder(backbone: Any) -> nn.Module:
    """The DINOv2 encoder of a backbone. Raises UsageError where it has none."""
    encoder = getattr(backbone.module, "dinov2", getattr(backbone.module, "dinov2_with_registers", backbone.module))
    if getattr(getattr(encoder, "config", None), "model_type", "") not in ENCODERS:
        raise UsageError(
            "model.backbone: EoMT needs a plain transformer of DINOv2's kind, such as "
            "hf/facebook/dinov2-with-registers-small or file:FOLDER with one, or a whole EoMT; "
            f"{backbone.spec} is another. segment/dpt and segment/mask2former stand on any backbone."
        )
    return encoder
