"""What the networks of transformers share here: built by its config, gone on from, left as a folder that it reads."""

import copy
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from adapters.backbones import hf_model
from adapters.backbones.hf_preprocess import RESAMPLE
from adapters.backbones.hf_whole import HFWhole
from adapters.segment.base import Segmenter
from studio.data.masks.class_map import VOID
from studio.data.preprocess import Preprocess


class TransformersSegmenter(Segmenter):
    """A network whose module is one of transformers; `processor` is what it calls that of its images."""

    processor: ClassVar[str]
    #: nothing in the module is of ours: it can leave as a folder of transformers
    entire = True

    def save_hugging_face(self, preprocess: Preprocess, classes: list[str], folder: Path) -> None:
        if not self.entire:
            return super().save_hugging_face(preprocess, classes, folder)
        save_folder(self.whole(), self.processor, preprocess, folder)

    def read_hugging_face(self, folder: Path) -> nn.Module:
        """What the written folder gives: images [B, 3, H, W] -> logits [B, C, h, w]."""
        from transformers import AutoModelForSemanticSegmentation

        return Whole(AutoModelForSemanticSegmentation.from_pretrained(folder, local_files_only=True), self.any_size)

    def whole(self) -> nn.Module:
        """The model of transformers."""
        return self.module.model


def save_folder(model: nn.Module, processor: str, preprocess: Preprocess, folder: Path) -> None:
    """Writes a model of transformers beside the processor, by its name, that prepares images as it is done here."""
    import transformers

    side = preprocess.image_size
    with hf_model.quiet():
        model.save_pretrained(folder)
        getattr(transformers, processor)(
            size={"height": side, "width": side}, do_normalize=True, image_mean=list(preprocess.mean),
            image_std=list(preprocess.std), do_reduce_labels=False, ignore_index=VOID,
            resample=next(number for number, kind in RESAMPLE.items() if kind == preprocess.interpolation),
        ).save_pretrained(folder)  # fmt: skip


def labelled(classes: list[str]) -> dict[str, Any]:
    """The fields of a config that name the classes."""
    return {"id2label": dict(enumerate(classes)), "label2id": {name: place for place, name in enumerate(classes)}}


def known_rows(classes: list[str], known: list[str]) -> list[tuple[int, int]]:
    """Pairs of the place of a class in `classes` and in `known`, of those in both, whatever their capitals."""
    places = {name.casefold(): place for place, name in enumerate(known)}
    return [(row, places[name.casefold()]) for row, name in enumerate(classes) if name.casefold() in places]


def gone_on(whole: HFWhole, classes: list[str], last: str, **fields: Any) -> nn.Module:
    """The model as it was pretrained, for `classes`: in its `last` layer those that it knows by name keep their rows.

    So does "no object", which comes behind them where there is one. `fields` are of its config.
    """
    config, before = copy.deepcopy(whole.module.config), whole.module.state_dict()
    config.update({**labelled(classes), **fields})
    with hf_model.quiet():
        model = type(whole.module)(config).float()
    known, ends = known_rows(classes, whole.classes), (len(classes), len(whole.classes))
    for name, tensor in model.state_dict().items():
        if name.startswith(last):
            for row, place in [*known, ends] if len(tensor) > len(classes) else known:
                tensor[row] = before[name][place]
        elif name != "criterion.empty_weight":  # has a row a class, and is no weight
            tensor.copy_(before[name])
    return model


class Whole(nn.Module):
    """images [B, 3, H, W] -> logits [B, C, h, w] of a semantic model of transformers."""

    def __init__(self, model: nn.Module, any_size: bool) -> None:
        super().__init__()
        self.model, self.any_size = model, any_size

    def forward(self, images: Tensor) -> Tensor:
        return self.model(pixel_values=images).logits

    def outputs(self, images: Tensor) -> list[tuple[str, float, Tensor]]:
        return [("", 1.0, self(images))]
