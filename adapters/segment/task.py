"""Task segment: its recipe keys, its selection rules, how its checkpoints leave, what they may be asked for again."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from studio.core.errors import UsageError
from studio.core.registry import task
from studio.core.sections import EvalSection, LabelledData, RestyledTrain
from studio.core.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from studio.core.recipe import Recipe


class SegmentData(LabelledData):
    source: str | None = Field(None, description="source domain, for a method that adapts; a comma joins several")
    target: str | None = Field(None, description="target domain; its masks, if any, are used for the final score only")
    short_side: Annotated[int, Field(ge=32, le=8192)] | None = Field(
        None,
        description="pixels that the short side of an image is brought to, and windows of model.image_size are "
        "cut from; null is model.image_size",
    )


class SegmentTrain(RestyledTrain):
    augment: Literal["none", "crop", "flip", "distort"] = Field(
        "distort",
        description="none | crop: random crops | flip: and mirrored | distort: and brightness, contrast, colours",
    )
    zoom: float = Field(2.0, ge=1, le=4, description="crops are enlarged by up to this, and reduced as far as they fit")
    rare_classes: float = Field(
        0.0,
        ge=0,
        le=10,
        description="how evenly classes are shown: images are picked by a class, rare ones more often; 0 is off, 0.01 "
        "is DAFormer's, more is milder",
    )
    source_epochs: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        None,
        description="for a method that adapts: passes over the source alone before, which leave the source-only "
        "network that it starts from and is judged against; null: as many as epochs, 0: it starts from the backbone",
    )


class SegmentEval(EvalSection):
    selection: Literal["auto", "source-val", "label-free", "last", "oracle"] = Field(
        "auto",
        description="the rule by which the epoch is chosen: auto is label-free for a method that adapts, else "
        "source-val; label-free and oracle, which looks at the target's masks, are for such a method alone",
    )
    score: Literal["restyled-spread", "restyled", "entropy", "diversity"] = Field(
        "restyled-spread",
        description="the label-free score: restyled is the mIoU on the source's validation images in the target's "
        "colours, restyled-spread that times the number of classes that the target's pixels are spread over; entropy, "
        "diversity: how sure the pixels are, and of how many classes, of epochs that hold what source only is",
    )
    absent: Literal["mmseg", "cityscapes", "present", "zero"] = Field(
        "mmseg",
        description="classes nowhere in the truth: mmseg and cityscapes count 0 where guessed and leave out the rest, "
        "present leaves all out, zero counts all 0",
    )
    only: list[str] = Field(
        [],
        description="classes that count in the means, or synthia-16, synthia-13 for those of Cityscapes; empty is all",
    )
    mirror: bool = Field(False, description="look at the mirrored image too (test-time augmentation)")
    scales: list[Annotated[float, Field(ge=0.25, le=4)]] = Field(
        [1.0], min_length=1, max_length=8, description="sizes to look at, as multiples of data.short_side"
    )
    slide: bool = Field(
        False, description="look through a window of model.image_size that slides over the image, not at all at once"
    )


@task
class Segment(Task):
    """Says of each pixel which class it is of."""

    name = "segment"
    title = "Segment images"
    headlines = {
        "miou": "mIoU (overlap, mean over classes)",
        "source_only_miou": "mIoU of source only (no adaptation)",
        "pa": "pixels that are right",
        "dice": "Dice",
    }
    truth = "masks"
    hub_tag = "image-segmentation"
    starter = "segment-quick"
    looks = ("mirror", "scales", "slide")
    Data, Train, Eval = SegmentData, SegmentTrain, SegmentEval

    def exporter(self, kind: str) -> "Callable[..., tuple[str, str]] | None":
        from adapters.segment import exporters

        return {"onnx": exporters.write_onnx, "hf": exporters.write_hf}.get(kind)

    def check(self, recipe: "Recipe") -> None:
        from studio.core.faces import Learner

        cls = recipe.method_class()
        adapts = issubclass(cls, Learner) and cls.adapts()
        _check_domains(recipe, adapts, getattr(cls, "needs_checkpoint", False))
        if recipe.eval.selection in ("oracle", "label-free") and not adapts:
            raise UsageError(
                f"eval.selection: {recipe.eval.selection} is not for {recipe.method}; expected source-val or last."
            )
        short, window = recipe.data.short_side, recipe.model.image_size
        if short and window and short < window:
            raise UsageError(
                f"data.short_side: {short} pixels are less than a window of model.image_size, {window}; expected as "
                "many or more."
            )


def _check_domains(recipe: "Recipe", adapts: bool, sourceless: bool) -> None:
    """Raises UsageError where data.source, data.target and data.train don't suit the method."""
    data = recipe.data
    if not adapts:
        for key in ("source", "target"):
            if getattr(data, key):
                raise UsageError(
                    f"data.{key}: {recipe.method} learns from data.train and adapts to nothing. Leave it out, or "
                    "take a method that adapts, such as segment/mean-teacher."
                )
        return
    if data.train:
        raise UsageError("data.train: a method that adapts learns from data.source; leave data.train out.")
    if data.source and data.source == data.target:
        raise UsageError(
            f"data.target: {data.target} is the source too; one domain alone needs no adapting. Name images of another "
            "look, or train a network such as segment/light-pyramid."
        )
    if sourceless and not recipe.model.checkpoint:
        raise UsageError(
            f"model.checkpoint: {recipe.method} changes a trained network while it predicts; name its checkpoint."
        )
