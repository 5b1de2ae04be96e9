"""Task align: its recipe keys; a labelled source and a target whose labels no method sees."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from studio.core.errors import UsageError
from studio.core.registry import task
from studio.core.sections import DataSection, EvalSection
from studio.core.task import Task

if TYPE_CHECKING:
    from studio.core.recipe import Recipe


class AlignData(DataSection):
    source: str | None = Field(None, description="source domain; a comma joins several")
    target: str | None = Field(None, description="target domain; its labels are used for the final score only")


class AlignEval(EvalSection):
    fallback: Literal["none", "source-only"] = Field(
        "none", description="source-only keeps the source's classifier where params.score, label-free, prefers it"
    )


@task
class Align(Task):
    """Learns classes in one domain and names them in another that has no labels."""

    name = "align"
    title = "Move a classifier to another look"
    truth = "labels"
    hub_tag = "image-classification"
    Data, Eval = AlignData, AlignEval

    def check(self, recipe: "Recipe") -> None:
        if recipe.eval.fallback != "none" and "eval.fallback" not in recipe.method_class().uses:
            raise UsageError(
                f"eval.fallback: {recipe.eval.fallback} is not for {recipe.method}, which no label-free score compares "
                "with source only; expected none."
            )
