"""What all detectors of transformers share: a set of queries, each of which finds one thing or nothing."""

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones import hf_model
from adapters.backbones.hf_detector import HFDetector
from adapters.backbones.seeds import seeded
from adapters.detect.attention import where_queries_look
from adapters.detect.base import LEAST, BackboneDetector, BackboneParams, require_side, to_detections
from adapters.detect.classes import take_over
from adapters.detect.lora import add_updates, merged
from adapters.detect.trunk import Trunk
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step
from studio.data.boxes import Detections

TERMS = {"ce": "classification", "vfl": "classification", "focal": "classification", "bbox": "box", "giou": "giou"}
TERMS |= {"fgl": "distribution", "ddf": "distribution"}


class QueryParams(BackboneParams):
    queries: int = Field(50, ge=1, le=2000, description="how many things can be found in an image, at most")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the transformer; 0.1 in DETR")
    lora: int = Field(
        0, ge=0, le=512, description="rank of LoRA updates of attention, for a detector that is trained already: all "
        "but these and the heads stays; 0 is off",
    )  # fmt: skip


class TransformerParams(QueryParams):
    width: int = Field(128, ge=32, le=1024, multiple_of=32, description="channels of the transformer; 256 in the paper")
    heads: int = Field(4, ge=1, le=32, description="attention heads; 8 in the paper")
    hidden: int = Field(256, ge=32, le=8192, description="units between the two layers that follow each attention")
    decoder_layers: int = Field(3, ge=2, le=24, description="layers in which queries look at the maps; 6 in the paper")


class EncoderParams(TransformerParams):
    encoder_layers: int = Field(1, ge=1, le=24, description="layers that look at the maps; 6 in DETR, 1 in RT-DETR")


class TransformerDetector(BackboneDetector):
    """A detector of transformers, on a backbone of ours or pretrained as a whole (file:FOLDER, hf/ORG/NAME).

    A subclass names the model (`model_type`), gives its config, and says which of its tensors hold classes. What is
    pretrained as a whole keeps its own sizes; `params` of the transformer then say nothing.
    """

    Params = TransformerParams
    fixed_queries = True
    #: as transformers calls the model and the processor that has its post-processing
    model_type: ClassVar[str]
    processor: ClassVar[str]
    #: strides of the maps it looks at, and where in the model its backbone is
    strides: ClassVar[tuple[int, ...]] = (8, 16, 32)
    backbone_path: ClassVar[str] = "model.backbone.model"
    #: queries begin at places of the maps, so that there must be as many
    queries_from_maps: ClassVar[bool] = False
    #: queries attend to all places of one map, not to a few points
    attends_to_maps: ClassVar[bool] = False
    box_layers = (r"bbox_\w+(\.\d+)?\.layers\.2\.",)  # the last of the three of every head of boxes

    def config(self, channels: list[int], size: int) -> dict[str, Any]:
        """Fields of the model's config for maps of so many channels, in a square input of `size` pixels."""
        raise NotImplementedError

    def start(self, module: nn.Module) -> None:
        """Starts the layers as the paper's code does, where transformers does otherwise."""

    def maps_at(self) -> tuple[int, ...]:
        return self.strides

    def setup(self, context: LearnerContext) -> nn.Module:
        require_side(context.image_size)
        if self.params.lora and self.params.heads_only:
            raise UsageError(
                "params.heads_only: params.lora has attention learn beside the heads; leave one of the two out."
            )
        self._size = context.image_size
        with seeded(context.seed), hf_model.quiet():
            if isinstance(context.backbone, HFDetector):
                self._pretrained(context.backbone, context.classes)
            else:
                self._on(context.backbone, context.classes)
        self.freeze_backbone()
        self.leave_heads()
        if self.params.lora:
            add_updates(self.module, self.params.lora, list(self.class_rows), context.seed)
        self.module.loss_function = in_full_precision(self.module.loss_function)
        self._post = post_processing(self.processor)
        return self.module

    def _on(self, backbone: Any, classes: list[str]) -> None:
        """Builds the model on a backbone of ours, which takes the place of a small one of the same channels."""
        trunk = Trunk(backbone, self.maps_at())
        self.require_side(self._size, "model.image_size")
        fields = {**self.config(trunk.channels, self._size), **labelled(classes)}
        try:
            self.module = model_of(hf_model.read_config({"model_type": self.model_type, **fields}))
        except ValueError as error:
            raise UsageError(f"params: {self.id} can't be built: {error}") from error
        self.start(self.module)
        self.module.set_submodule(self.backbone_path, trunk)
        self._backbone = backbone

    def require_side(self, side: int, key: str) -> None:
        places = sum((-(-side // stride)) ** 2 for stride in self.maps_at())
        if self.queries_from_maps and self.params.queries > places:
            raise UsageError(
                f"params.queries: {self.params.queries} queries begin at places of the maps, which are only {places} "
                f"in inputs of {side} pixels, as {key} has them. Fewer queries or larger images fit."
            )

    def _pretrained(self, whole: HFDetector, classes: list[str]) -> None:
        """Builds the model as it was pretrained, with heads for `classes`; classes it knows keep their weights."""
        config = copy.deepcopy(whole.module.config)
        if config.model_type != self.model_type:
            raise UsageError(
                f"model.backbone: {whole.spec} is a {config.model_type} detector, this method is {self.id}. Use "
                f"method detect/{config.model_type.replace('_', '-')}, or a backbone alone."
            )
        if hasattr(config, "decoder_layers"):
            config.auxiliary_loss = True  # every layer learns, not the last alone
        config.id2label, config.label2id = labelled(classes)["id2label"], labelled(classes)["label2id"]
        self.module = model_of(config)
        self.start(self.module)  # what stays of it are the rows of new classes
        self.pretrained_classes = take_over(
            self.module.state_dict(), whole.module.state_dict(), whole.classes, classes, self.class_rows
        )
        self._backbone = self.module.get_submodule(self.backbone_path.rpartition(".")[0] or self.backbone_path)
        self._backbone.requires_grad_(True)  # transformers freezes parts of some; here `params.freeze` says

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        """The model's own loss after Hungarian matching, summed over the layers of its decoder, by kind."""
        labels, side = [], batch.images.shape[-1]
        for boxes, classes in zip(batch.boxes, batch.labels, strict=True):
            real = classes >= 0
            labels.append({"class_labels": classes[real], "boxes": centred(boxes[real]) / side})
        losses = self.module(pixel_values=batch.images, labels=labels).loss_dict
        sums: dict[str, Tensor] = {}
        for name, value in losses.items():
            kind = name.split("_")[1] if name.startswith("loss_") else None
            if kind in TERMS:
                weighted = value * self.weight(kind)
                sums[TERMS[kind]] = sums.get(TERMS[kind], 0.0) + weighted  # type: ignore[operator]
        return sums

    def weight(self, kind: str) -> float:
        """What the model multiplies its loss `kind` with, where that is not done already."""
        config = self.module.config
        return {"bbox": config.bbox_loss_coefficient, "giou": config.giou_loss_coefficient}.get(kind, 1.0)

    def export_module(self) -> nn.Module:
        return merged(self.module) if self.params.lora else self.module

    def query_heatmaps(self, images: Tensor, most: int) -> tuple[str, list[Detections], list[Tensor]]:
        self.train_mode(False)
        return where_queries_look(self, images, most)

    def save_hugging_face(self, preprocess: Any, folder: Any) -> None:
        from adapters.detect.hf_save import save_hugging_face

        save_hugging_face(self, preprocess, folder)

    def predict(self, images: Tensor) -> list[Detections]:
        sizes = torch.tensor([images.shape[-2:]] * len(images), device=images.device)
        outputs = self._post(self.module(pixel_values=images), threshold=LEAST, target_sizes=sizes)
        return [_surest(to_detections(output), self.params.most) for output in outputs]


def stand_in(channels: list[int]) -> dict[str, Any]:
    """Config of the smallest backbone of transformers with maps of these channels, until ours takes its place."""
    return {
        "model_type": "resnet", "embedding_size": 8, "hidden_sizes": channels, "depths": [1] * len(channels),
        "layer_type": "basic", "out_indices": list(range(1, len(channels) + 1)),
    }  # fmt: skip


def encoder_decoder(params: Any, channels: list[int]) -> dict[str, Any]:
    """The fields of a config with an encoder and a decoder, as DETR and Deformable DETR name them."""
    return {
        "backbone_config": stand_in(channels), "d_model": params.width, "num_queries": params.queries,
        "encoder_layers": params.encoder_layers, "decoder_layers": params.decoder_layers,
        "encoder_attention_heads": params.heads, "decoder_attention_heads": params.heads,
        "encoder_ffn_dim": params.hidden, "decoder_ffn_dim": params.hidden, "dropout": params.dropout,
    }  # fmt: skip


def labelled(classes: list[str]) -> dict[str, Any]:
    """The fields of a config that name the classes."""
    return {"id2label": dict(enumerate(classes)), "label2id": {name: index for index, name in enumerate(classes)}}


def model_of(config: Any) -> nn.Module:
    from transformers import AutoModelForObjectDetection

    return AutoModelForObjectDetection.from_config(config).float()


def post_processing(processor: str) -> Callable[..., list[dict[str, Tensor]]]:
    """The model's own way from its output to boxes."""
    import transformers

    return getattr(transformers, processor)().post_process_object_detection


def centred(corners: Tensor) -> Tensor:
    """Boxes cxcywh [N, 4] of xyxy [N, 4]."""
    return torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], dim=1)


def in_full_precision(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss on float32, outside of autocast: matching does not take halves."""

    def full(*given: Any, **named: Any) -> Any:
        device = next(value.device.type for value in given if isinstance(value, Tensor))
        with torch.autocast(device, enabled=False):
            return loss(*map(_float, given), **{name: _float(value) for name, value in named.items()})

    return full


def _float(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def _surest(detections: Detections, most: int) -> Detections:
    ordered = detections.above(0.0)
    return Detections(ordered.xyxy[:most], ordered.labels[:most], ordered.scores[:most])
