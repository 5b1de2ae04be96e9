"""Task generalize: its recipe keys; several labelled sources, and a domain that no training ever sees."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from studio.core.errors import UsageError
from studio.core.registry import task
from studio.core.sections import AugmentedTrain, DataSection, EvalSection
from studio.core.task import Task

if TYPE_CHECKING:
    from studio.core.recipe import Recipe


class GeneralizeData(DataSection):
    sources: str | None = Field(
        None, description="labelled domains to learn from, joined by commas: folder:photo,folder:sketch"
    )
    test: str | None = Field(None, description="a domain that is not learned from; its labels score the result")


class GeneralizeEval(EvalSection):
    selection: Literal["training-domain", "leave-one-domain-out", "oracle", "last"] = Field(
        "training-domain",
        description="the epoch is chosen on held-out images of the sources | on each source by a training without it "
        "| oracle: on the unseen domain's labels | not at all",
    )


@task
class Generalize(Task):
    """Names the class of an image in domains that were never seen, learned from several others."""

    name = "generalize"
    title = "Learn from several looks for one not yet seen"
    headlines = {
        "accuracy": "accuracy on the unseen domain",
        "val_accuracy": "accuracy on held-out images of the sources",
        "macro_f1": "F1, mean over classes",
    }
    truth = "labels"
    hub_tag = "image-classification"
    Data, Train, Eval = GeneralizeData, AugmentedTrain, GeneralizeEval

    def check(self, recipe: "Recipe") -> None:
        rule, cls = recipe.eval.selection, recipe.method_class()
        if rule == "oracle" and not recipe.data.test and "data.sources" in cls.uses:
            raise UsageError("eval.selection: oracle looks at the labels of data.test, which names nothing.")
        if getattr(cls, "chooses", False) and rule in ("leave-one-domain-out", "oracle"):
            raise UsageError(
                f"eval.selection: {rule} is not for {recipe.method}, which chooses its weights itself on held-out "
                "images of the sources; expected training-domain or last."
            )
