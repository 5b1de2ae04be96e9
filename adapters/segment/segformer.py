"""SegFormer: transformers' model, on an encoder of its own kind."""

import copy
from typing import Any, ClassVar

from torch import nn

from adapters.backbones import hf_model
from adapters.backbones.hf_decoder import Decoder
from adapters.segment.hf_base import TransformersSegmenter, Whole, known_rows, labelled
from adapters.segment.segformer_head import SegFormerParams
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register


@register("segment/segformer")
class SegFormer(TransformersSegmenter):
    """A hierarchical transformer whose attention looks at reduced maps, and a decoder of layers of single pixels.

    transformers' own; its encoder (MiT) is the backbone: a folder such as that of nvidia/mit-b0, or one of a config and
    weights of your own. A folder of a whole SegFormer is gone on from with its decoder; classes that it knows by name
    keep their weights. Its decoder on another backbone is segment/segformer-head.
    """

    title = "SegFormer"
    paper = "Xie et al. 2021, SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers"
    Params = SegFormerParams
    processor: ClassVar[str] = "SegformerImageProcessor"

    @property
    def any_size(self) -> bool:
        return True

    def build(self, context: LearnerContext) -> nn.Module:
        from transformers import SegformerForSemanticSegmentation

        encoder = _encoder(context.backbone)
        config = copy.deepcopy(encoder.config)
        config.update({**labelled(context.classes), "decoder_hidden_size": self.params.width})
        config.classifier_dropout_prob = self.params.dropout
        with hf_model.quiet():
            model = SegformerForSemanticSegmentation(config).float()
        model.segformer.load_state_dict(encoder.state_dict())
        if decoder := context.backbone.decoder:
            self._take(decoder, model.decode_head, context.classes)
        self._backbone = model.segformer
        return Whole(model, any_size=True)

    def _take(self, decoder: Decoder, head: nn.Module, classes: list[str]) -> None:
        """Gives the head the weights of a pretrained decoder; in its last layer, those of classes known by name.

        Raises UsageError where they are of another width.
        """
        if decoder.width != self.params.width:
            raise UsageError(
                f"params.width: {self.params.width}, but the decoder that came with this backbone has {decoder.width} "
                f"channels. Set params.width to {decoder.width}."
            )
        rows = known_rows(classes, decoder.classes)
        for name, tensor in head.state_dict().items():
            if not name.startswith("classifier."):
                tensor.copy_(decoder.tensors[name])
            else:
                for row, place in rows:
                    tensor[row] = decoder.tensors[name][place]


def _encoder(backbone: Any) -> nn.Module:
    """The MiT encoder of a backbone. Raises UsageError where it has none."""
    encoder = getattr(backbone.module, "segformer", backbone.module)
    if getattr(getattr(encoder, "config", None), "model_type", "") != "segformer":
        raise UsageError(
            f"model.backbone: SegFormer needs an encoder of its own kind, such as hf/nvidia/mit-b0 or file:FOLDER with "
            f"one; {backbone.spec} is another. segment/segformer-head has its decoder on any backbone."
        )
    return encoder
