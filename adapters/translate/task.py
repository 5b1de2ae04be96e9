"""Task translate: its recipe keys, its selection rules, how its checkpoints leave and how they may be asked."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from studio.core.errors import UsageError
from studio.core.registry import task
from studio.core.sections import EvalSection, LabelledData, TrainSection
from studio.core.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from studio.core.recipe import Recipe


class TranslateData(LabelledData):
    source: str | None = Field(None, description="images to be translated, such as images:horses; they need no pair")
    target: str | None = Field(None, description="images of the look that they are to have, such as images:zebras")
    train: str | None = Field(
        None, description="pairs instead, such as pairs:FOLDER?a=infrared&b=visible; a is translated into b"
    )
    val: str | None = Field(None, description="pairs that choose the epoch; null holds some of the data out")
    test: str | None = Field(None, description="pairs that score the result, never used to choose anything")
    short_side: Annotated[int, Field(ge=32, le=4096)] | None = Field(
        None,
        description="pixels that the short side of an image is brought to, and crops of model.image_size are cut from; "
        "null is model.image_size",
    )


class TranslateTrain(TrainSection):
    epochs: int = Field(
        100,
        ge=0,
        le=100_000,
        description="passes over the larger look, times repeat; 0 with model.checkpoint evaluates only",
    )
    repeat: int = Field(
        1,
        ge=1,
        le=10_000,
        description="passes over the data in one epoch: more where few images would be judged too often",
    )
    batch_size: int = Field(1, ge=1, le=65_536, description="images of each look in a step")
    lr: float = Field(0.0002, gt=0, le=10, description="learning rate, even for half of the steps, then down to 0")
    clip: float = Field(100.0, gt=0, description="largest norm of the gradient; longer ones are scaled down")
    augment: Literal["none", "crop", "flip"] = Field(
        "flip", description="none: the middle of each image | crop: random crops | flip: and mirrored"
    )
    zoom: float = Field(
        1.12,
        ge=1,
        le=4,
        description="images are enlarged by up to this before a crop is cut; 286 to 256 pixels is 1.12",
    )


class TranslateEval(EvalSection):
    selection: Literal["kid", "psnr", "last"] = Field(
        "kid", description="the epoch of the lowest KID on held-out images | of the highest PSNR on pairs | the last"
    )
    features: str = Field(
        "pip/tf_efficientnet_lite0", description="the backbone whose features KID and the Frechet distance compare"
    )
    images: int = Field(100, ge=2, le=10_000, description="held-out images that are translated after each epoch")
    short_side: Annotated[int, Field(ge=32, le=4096)] | None = Field(
        None, description="pixels of the short side at which images are translated; null: as in training"
    )
    tile: int = Field(
        512, ge=64, le=4096, description="what is larger than so many pixels a side is translated in overlapping tiles"
    )
    strength: float = Field(1.0, ge=0, le=1, description="how much of the other look an image gets, 0 to 1")
    steady: float = Field(
        0.0, ge=0, lt=1, description="of films: the weight of what was shown before, where nothing moves; 0.8 is much"
    )
    direction: Literal["forward", "backward"] = Field(
        "forward", description="from source to target | back, by methods that learn both ways"
    )


@task
class Translate(Task):
    """Gives images of one look another: infrared to visible, day to night, photo to sketch."""

    name = "translate"
    title = "Translate images"
    headlines = {
        "kid": "KID (distance of the looks; 0 is none)",
        "psnr": "PSNR (dB)",
        "ssim": "SSIM",
        "perceptual": "distance to the pair, as a network sees it",
        "lpips": "LPIPS (distance to the pair)",
        "distance": "Frechet distance of the looks",
        "warping_error": "warping error (how much a film flickers)",
    }
    truth, takes = "pairs", ("none",)
    hub_tag = "image-to-image"
    needs_classes = False
    makes_images = True
    starter = "ir-to-visible"
    looks = ("short_side", "tile", "strength", "steady", "direction")
    Data, Train, Eval = TranslateData, TranslateTrain, TranslateEval

    def exporter(self, kind: str) -> "Callable[..., tuple[str, str]] | None":
        from adapters.translate import exporters

        return {"onnx": exporters.write_onnx, "film-filter": exporters.write_film_filter}.get(kind)

    def check(self, recipe: "Recipe") -> None:
        from adapters.translate.base import Translator
        from adapters.translate.style.base import Stylist

        cls = recipe.method_class()
        if issubclass(cls, Translator):
            check_translator(recipe, cls)
        if issubclass(cls, Stylist):
            check_stylist(recipe, cls)


def check_translator(recipe: "Recipe", cls: "type") -> None:
    """Raises UsageError for keys that do not go together."""
    data, side = recipe.data, recipe.model.image_size or IMAGE_SIZE
    if (data.train is None) == (data.source is None and data.target is None):
        raise UsageError(
            "data: expected either data.source and data.target, or pairs in data.train (pairs:FOLDER?a=NAME&b=NAME)."
        )
    if data.train is None and (data.source is None or data.target is None):
        missing = "source" if data.source is None else "target"
        raise UsageError(f"data.{missing}: nothing is given; expected images of that look, such as images:FOLDER.")
    if cls.paired and data.train is None:
        raise UsageError(
            f"data.train: {recipe.method} learns from pairs; expected pairs:FOLDER?a=NAME&b=NAME. Without pairs take "
            "translate/cut or translate/cyclegan."
        )
    if recipe.eval.selection == "psnr" and data.train is None and data.val is None:
        raise UsageError("eval.selection: psnr needs pairs, in data.train or data.val; expected kid or last.")
    if recipe.eval.direction == "backward" and not cls.both_ways:
        raise UsageError(f"eval.direction: {recipe.method} learns one way only; expected forward.")
    if data.short_side and data.short_side < side:
        raise UsageError(
            f"data.short_side: {data.short_side} pixels are less than a crop of model.image_size, {side}; expected as "
            "many or more."
        )


def check_stylist(recipe: "Recipe", cls: "type") -> None:
    """Raises UsageError for keys that do not go together, where a style is learned."""
    data = recipe.data
    for key in ("train", "val", "test"):
        if getattr(data, key) is not None:
            raise UsageError(
                f"data.{key}: {recipe.method} learns from no pairs. Expected data.target, images of the style, and "
                "data.source, images that get it."
            )
    if data.target is None:
        raise UsageError("data.target: nothing is given; expected images of the style, one or more: images:FOLDER.")
    if cls.trains and data.source is None:
        raise UsageError(
            f"data.source: {recipe.method} trains a network on images, and none are given; expected images:FOLDER."
        )
    if recipe.eval.direction == "backward":
        raise UsageError(f"eval.direction: {recipe.method} has one way only; expected forward.")
    if recipe.eval.selection == "psnr":
        raise UsageError(f"eval.selection: psnr needs pairs, and {recipe.method} learns from none; leave it out.")


IMAGE_SIZE = 256  # where a recipe names none
