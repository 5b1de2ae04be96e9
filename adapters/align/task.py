"""Task align: its recipe keys; a labelled source and a target whose labels no method sees."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from studio.core.errors import UsageError
from studio.core.registry import task
from studio.core.sections import DataSection, EvalSection, RestyledTrain
from studio.core.task import Task

if TYPE_CHECKING:
    from studio.core.recipe import Recipe

#: keys that some methods look at
OF_SOME = ("data.test", "eval.score", "eval.source_only", "eval.unknown", "eval.fallback", "eval.map", "eval.film")


class AlignData(DataSection):
    source: str | None = Field(None, description="source domain; a comma joins several")
    target: str | None = Field(None, description="target domain; its labels are used for the final score only")

    test: str | None = Field(
        None,
        description="labelled images of the target that are scored alone; null takes the target's own test or val "
        "split, else the images it was adapted to",
    )


class AlignTrain(RestyledTrain):
    augment: Literal["none", "crop", "flip"] = Field(
        "flip", description="of both domains' images: none | crop: random crops | flip: and mirrored"
    )
    crop: float = Field(0.35, gt=0, le=1, description="smallest share of an image's area that a random crop keeps")


class AlignEval(EvalSection):
    selection: Literal["source-val", "label-free", "last", "oracle"] = Field(
        "label-free", description="the rule by which a model is chosen; named beside each number"
    )
    score: Literal["entropy", "diversity", "importance-weighted", "dev", "snd"] | None = Field(
        None,
        description="the label-free score that chooses the epoch of a deep method; null takes diversity, and entropy "
        "where the target may lack classes",
    )
    unknown: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="deep methods: less sure than this is scored as unknown, where the target has other classes too",
    )
    source_only: bool = Field(
        True, description="deep methods: train the same network without alignment too, and show it beside"
    )
    map: Literal["tsne", "umap"] = Field(
        "tsne", description="deep methods: how both domains are mapped before and after; umap needs umap-learn"
    )
    film: bool = Field(False, description="deep methods: also a film of the map, an image after each epoch")
    fallback: Literal["none", "source-only"] = Field(
        "none",
        description="source-only keeps the source's classifier where a label-free score prefers it: params.score, of "
        "deep methods eval.score",
    )


@task
class Align(Task):
    """Learns classes in one domain and names them in another that has no labels."""

    name = "align"
    title = "Move a classifier to another look"
    headlines = {
        "target_accuracy": "accuracy on the target",
        "source_only_accuracy": "source only (no adaptation)",
        "h_score": "H-score (classes that are known, and all others)",
        "macro_f1": "F1, mean over classes",
    }
    truth = "labels"
    hub_tag = "image-classification"
    Data, Train, Eval = AlignData, AlignTrain, AlignEval

    def check(self, recipe: "Recipe") -> None:
        method, keys = recipe.method_class(), {"data": recipe.data, "eval": recipe.eval}
        for key in OF_SOME:
            section, _, name = key.partition(".")
            value, usual = getattr(keys[section], name), type(keys[section]).model_fields[name].default
            if value != usual and key not in method.uses:
                raise UsageError(f"{key}: {value} is not for {recipe.method}, which does not look at it. Leave it out.")
        if recipe.eval.map == "umap" and find_spec("umap") is None:
            raise UsageError("eval.map: umap is of the package umap-learn, which is not here: pip install umap-learn")
        if recipe.eval.fallback == "source-only" and not recipe.eval.source_only:
            raise UsageError(
                "eval.fallback: source-only falls back on the network that eval.source_only: false leaves untrained. "
                "Set one of them back."
            )
        if getattr(method, "needs_checkpoint", False):
            self._check_without_source(recipe)

    def _check_without_source(self, recipe: "Recipe") -> None:
        if recipe.model.checkpoint is None:
            raise UsageError(
                f"model.checkpoint: {recipe.method} starts from a trained classifier, and none is named. Train one on "
                "the source first, such as with align/source-only."
            )
        judged = recipe.eval.selection == "source-val" or recipe.eval.score in ("importance-weighted", "dev")
        if judged:
            raise UsageError(
                f"eval: {recipe.method} has no source images to judge by. Expected eval.selection label-free with "
                "eval.score entropy, diversity or snd, or eval.selection last."
            )
