"""YOLOS: a plain vision transformer, with queries among its patch tokens and two small heads."""

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones import hf_model
from adapters.detect.classes import ClassRows
from adapters.detect.hf_base import QueryParams, TransformerDetector, labelled, model_of
from adapters.detect.initializers import as_torch
from studio.core.errors import UsageError
from studio.core.registry import register

# a block of timm's plain ViT: where its layers are in YOLOS
LAYERS = {
    "norm1": "layernorm_before", "attn.proj": "attention.output.dense", "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
}  # fmt: skip


class YolosParams(QueryParams):
    backbone_lr: float = Field(1.0, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr")


@register("detect/yolos")
class Yolos(TransformerDetector):
    """Queries pass through a plain ViT together with the patches; matched and taught as in DETR (section 3).

    Fang et al. 2021, by transformers. Takes a plain ViT of timm; without pretraining it learns very slowly.
    """

    title = "YOLOS"
    paper = "Fang et al. 2021, You Only Look at One Sequence: Rethinking Transformer in Vision through Object Detection"
    Params = YolosParams
    model_type = "yolos"
    processor = "YolosImageProcessor"
    backbone_path = "vit"
    attends_to_maps = True
    class_rows: ClassVar = {r"class_labels_classifier\.layers\.2": ClassRows(after=1)}

    def start(self, module: nn.Module) -> None:
        as_torch(module.class_labels_classifier, module.bbox_predictor)

    def _on(self, backbone: Any, classes: list[str]) -> None:
        vit = getattr(backbone, "module", None)
        if not _plain_vit(vit):
            raise UsageError(
                f"model.backbone: detect/yolos is itself a plain ViT; {backbone.spec} is none. Such fit: "
                "timm/vit_tiny_patch16_224, timm/vit_small_patch16_224, untrained timm/vit_tiny_patch16_224?random."
            )
        block = vit.blocks[0]
        fields = {
            "hidden_size": vit.embed_dim, "num_hidden_layers": len(vit.blocks),
            "num_attention_heads": block.attn.num_heads, "intermediate_size": block.mlp.fc1.out_features,
            "qkv_bias": block.attn.qkv.bias is not None, "layer_norm_eps": vit.norm.eps,
            "image_size": [self._size, self._size], "patch_size": int(vit.patch_embed.patch_size[0]),
            "num_detection_tokens": self.params.queries, "use_mid_position_embeddings": False,
            "hidden_dropout_prob": self.params.dropout, "auxiliary_loss": False,
        }  # fmt: skip
        self.module = model_of(hf_model.read_config({"model_type": "yolos", **fields, **labelled(classes)}))
        self.start(self.module)
        _fill(self.module.vit, vit)
        self._backbone = self.module.vit


def _plain_vit(vit: Any) -> bool:
    """timm's ViT of the first kind: one class token, no layer scale, no norms inside attention."""
    if not hasattr(vit, "blocks") or getattr(vit, "num_prefix_tokens", 0) != 1 or not hasattr(vit, "pos_embed"):
        return False
    names = {
        name.partition(".")[2].partition(".")[2] for name, _ in vit.named_parameters() if name.startswith("blocks.")
    }
    parts = {name.rpartition(".")[0] for name in names}
    return parts == {*LAYERS, "attn.qkv"} and vit.pos_embed.ndim == 3


@torch.no_grad()
def _fill(yolos: nn.Module, vit: Any) -> None:
    """The tensors of a ViT in their places; queries start at random, since all alike they would stay so."""
    embeddings = yolos.embeddings
    nn.init.trunc_normal_(embeddings.detection_tokens, std=0.02)
    nn.init.trunc_normal_(embeddings.position_embeddings, std=0.02)
    embeddings.position_embeddings[:, : vit.pos_embed.shape[1]] = vit.pos_embed
    embeddings.cls_token.copy_(vit.cls_token)
    _copy(embeddings.patch_embeddings.projection, vit.patch_embed.proj)
    _copy(yolos.layernorm, vit.norm)
    for layer, block in zip(yolos.encoder.layer, vit.blocks, strict=True):
        for there, here in LAYERS.items():
            _copy(layer.get_submodule(here), block.get_submodule(there))
        attention = layer.attention.attention
        for part, weight, bias in zip(
            (attention.query, attention.key, attention.value), *_thirds(block.attn.qkv), strict=True
        ):
            part.weight.copy_(weight)
            if bias is not None:
                part.bias.copy_(bias)


def _copy(here: nn.Module, there: nn.Module) -> None:
    here.load_state_dict(there.state_dict())


def _thirds(qkv: nn.Linear) -> tuple[tuple[Tensor, ...], tuple[Any, ...]]:
    return qkv.weight.chunk(3), qkv.bias.chunk(3) if qkv.bias is not None else (None,) * 3
