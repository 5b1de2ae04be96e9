"""Task classify: its recipe keys. The heads and meta-learners of `fewshot` serve it too."""

from typing import Annotated

from pydantic import Field

from studio.core.registry import task
from studio.core.sections import AugmentedTrain, EvalSection, LabelledData
from studio.core.task import Task


class ClassifyTrain(AugmentedTrain):
    folds: Annotated[int, Field(ge=2, le=100)] | None = Field(
        None, description="k-fold cross-validation on train, for tiny sets; the model kept is trained on all images"
    )


class ClassifyEval(EvalSection):
    ways: int = Field(5, ge=2, le=10_000, description="classes an episode")
    shots: int = Field(5, ge=1, le=10_000, description="support images a class")
    queries: int = Field(15, ge=1, le=10_000, description="query images a class")
    episodes: int = Field(600, ge=1, le=10_000_000, description="episodes to score")
    episodes_file: str | None = Field(None, description="a JSON file of fixed episodes")


@task
class Classify(Task):
    """Names the class of an image, learned from many labelled images or from a handful."""

    name = "classify"
    title = "Name the class of an image"
    headlines = {
        "accuracy": "accuracy",
        "expected_accuracy": "expected on new images, with its 95 % interval",
        "macro_f1": "F1, mean over classes",
        "ece": "calibration error (ECE)",
    }
    truth = "labels"
    hub_tag = "image-classification"
    starter = "quickstart"
    Data, Train, Eval = LabelledData, ClassifyTrain, ClassifyEval
