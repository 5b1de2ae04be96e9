"""The sections that recipes share: a task takes them as they are or adds keys of its own (`studio.core.task`)."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["auto", "fp32", "fp16", "bf16"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelSection(Section):
    backbone: str = Field(
        "pip/tf_efficientnet_lite0",
        description="pip/NAME, timm/NAME[@tag], hf/ORG/NAME[@revision], file:FOLDER, store/ID, timm/NAME?random",
    )
    image_size: Annotated[int, Field(ge=8, le=2048)] | None = Field(
        None, description="side of the square input in pixels; null takes the backbone's own"
    )
    checkpoint: str | None = Field(None, description="start from this checkpoint of the store")


class DataSection(Section):
    """Where the data are; a task names its own keys, or takes those of `LabelledData`."""


class LabelledData(DataSection):
    train: str | None = Field(None, description="training data, such as folder:photos")
    val: str | None = Field(None, description="validation data; null splits some off train")
    test: str | None = Field(None, description="test data, never used to choose anything")


class TrainSection(Section):
    epochs: int = Field(
        10, ge=0, le=100_000, description="passes over the training data; 0 with model.checkpoint evaluates only"
    )
    minutes: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="train for about so long instead of `epochs`; the first batches are timed to turn it into steps",
    )
    batch_size: int = Field(32, ge=1, le=65_536, description="images a step, all processes together")
    optimizer: Literal["adamw", "sgd"] = Field(
        "adamw", description="adamw, or sgd with Nesterov momentum 0.9, which moves a good start less"
    )
    lr: float = Field(0.001, gt=0, le=10, description="highest learning rate")
    weight_decay: float = Field(0.01, ge=0, le=10, description="weight decay; decoupled with adamw")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient; longer ones are scaled down")
    seed: int = Field(0, ge=0, description="seeds everything random in the run")
    precision: Precision = Field(
        "auto", description="auto takes bf16 where the hardware has it, else fp16 on GPUs, else fp32"
    )
    max_steps: int | None = Field(None, ge=1, description="stop after this many steps")
    workers: int = Field(2, ge=0, le=64, description="image decoding threads")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the average of weights that is judged and kept; 0 is off")
    patience: int | None = Field(
        None, ge=1, description="stop after this many epochs without a better validation score"
    )
    micro_batch: int | None = Field(
        None, ge=1, description="images computed at once; gradients of the whole batch are accumulated over them"
    )
    compile: bool = Field(False, description="torch.compile: slow to start, sometimes faster after")
    processes: int = Field(
        1, ge=1, le=1024, description="processes that share each batch, one a GPU; on the CPU any number"
    )
    checkpoint_every_s: float = Field(
        60, ge=0, description="seconds between resume points; 0 writes one after every step"
    )


Restyling = Literal["none", "mean-variance", "histogram", "reinhard", "fda", "fog", "night", "rain", "sketch"]


class RestyledTrain(TrainSection):
    """For tasks whose training images may be shown in another look; what is known of them keeps its place."""

    restyle: Restyling = Field(
        "none",
        description="show training images in the colours of train.restyle_like (mean-variance, histogram, reinhard, "
        "fda), in fog, night or rain, or as a sketch",
    )
    restyle_like: str | None = Field(
        None, description="images whose look it is, such as folder:dusk; null is data.target where there is one"
    )
    restyle_share: float = Field(0.5, gt=0, le=1, description="share of the training images that are restyled")

    @property
    def needs_references(self) -> bool:
        """The look is that of other images, not one that is rendered."""
        return self.restyle in ("mean-variance", "histogram", "reinhard", "fda")


class AugmentedTrain(RestyledTrain):
    """For tasks that name the class of whole images, which may be changed and mixed to train on."""

    augment: Literal["none", "crop", "flip", "trivial", "rand"] = Field(
        "flip",
        description="none | crop: random crops | flip: and mirrored | trivial, rand: and TrivialAugment, RandAugment",
    )
    crop: float = Field(0.35, gt=0, le=1, description="smallest share of an image's area that a random crop keeps")
    erasing: float = Field(0.0, ge=0, le=1, description="share of images of which a random rectangle is blanked")
    mixup: float = Field(0.0, ge=0, le=10, description="alpha of mixup; 0 is off, 0.2 is usual")
    cutmix: float = Field(0.0, ge=0, le=10, description="alpha of CutMix; 0 is off, 1 is usual")
    balanced: bool = Field(False, description="show every class equally often, however many images it has")


class EvalSection(Section):
    selection: Literal["source-val", "label-free", "last", "oracle"] = Field(
        "source-val", description="the rule by which a model is chosen; named beside each number"
    )
