"""Task detect: its recipe keys, its selection rules, how its checkpoints leave, what they may be asked for again."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from studio.core.errors import UsageError
from studio.core.registry import task
from studio.core.sections import EvalSection, LabelledData, RestyledTrain
from studio.core.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from studio.core.recipe import Recipe


class DetectData(LabelledData):
    source: str | None = Field(None, description="source domain; a comma joins several")
    target: str | None = Field(None, description="target domain; its boxes are used for the final score only")
    shots: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="learn so many boxes of each class of train, picked by train.seed, instead of all"
    )


class DetectTrain(RestyledTrain):
    augment: Literal["none", "crop", "flip"] = Field(
        "flip", description="none | crop: random crops | flip: and mirrored; boxes move with their image"
    )
    crop: float = Field(0.35, gt=0, le=1, description="smallest share of an image's area that a random crop keeps")
    mosaic: float = Field(0.0, ge=0, le=1, description="share of images that are made of four")
    copy_paste: float = Field(0.0, ge=0, le=1, description="share of images into which things of another are pasted")
    multi_scale: float = Field(
        0.0,
        ge=0,
        le=0.75,
        description="how far a step's input size may be from model.image_size; 0.25 is usual",
    )


class DetectEval(EvalSection):
    selection: Literal["source-val", "last", "oracle"] = Field(
        "source-val", description="the rule by which the epoch is chosen; oracle, for adapting alone, looks at the test"
    )
    mirror: bool = Field(False, description="look at the mirrored image too (test-time augmentation)")
    scales: list[Annotated[float, Field(ge=0.25, le=4)]] = Field(
        [1.0], min_length=1, max_length=8, description="sizes to look at, as multiples of model.image_size"
    )
    ensemble: list[str] = Field([], description="more checkpoints, whose boxes are joined with this one's")
    fusion: Literal["nms", "soft-nms", "soft-nms-linear", "voting", "nmw", "wbf"] | None = Field(
        None, description="how boxes are joined; null is the model's own way, and wbf for several views"
    )
    overlap: float = Field(0.55, gt=0, lt=1, description="IoU above which a fusion takes two boxes for one")


@task
class Detect(Task):
    """Finds things and frames them in boxes."""

    name = "detect"
    title = "Find things in images"
    headlines = {
        "map": "mAP (IoU 0.5 to 0.95)",
        "map_50": "mAP at IoU 0.5",
        "map_known": "mAP, known classes",
        "map_new": "mAP, new classes",
    }
    truth = "boxes"
    hub_tag = "object-detection"
    starter = "detect-quick"
    own_minutes = 15.0
    looks = ("mirror", "scales", "ensemble", "fusion", "overlap")
    Data, Train, Eval = DetectData, DetectTrain, DetectEval

    def exporter(self, kind: str) -> "Callable[..., tuple[str, str]] | None":
        from adapters.detect import exporters

        return {"onnx": exporters.write_onnx, "hf": exporters.write_hf}.get(kind)

    def check(self, recipe: "Recipe") -> None:
        from studio.core.faces import Learner

        cls = recipe.method_class()
        if recipe.eval.selection == "oracle" and not (issubclass(cls, Learner) and cls.adapts()):
            raise UsageError(f"eval.selection: oracle is not for {recipe.method}; expected source-val or last.")
