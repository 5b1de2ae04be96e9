"""Task reid: its recipe keys; individuals to learn from, queries that ask, a gallery that answers."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field

from studio.core.errors import UsageError
from studio.core.registry import task
from studio.core.sections import DataSection, EvalSection, TrainSection
from studio.core.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from studio.core.recipe import Recipe


def _named(value: object) -> object:
    """What recipes said before there were two kinds."""
    return {True: "norms", False: "none"}[value] if isinstance(value, bool) else value


NAMED = BeforeValidator(_named)
#: what is taken from each camera's own images, without labels, so that its light and colours go away
ByCamera = Annotated[Literal["none", "mean", "norms"], NAMED]


class ReidData(DataSection):
    train: str | None = Field(
        None, description="individuals to learn from, such as reid:cows; its own query and gallery are scored"
    )
    query: str | None = Field(None, description="images that ask, where they lie apart; with data.gallery")
    gallery: str | None = Field(None, description="images that answer, where they lie apart; with data.query")
    test: str | None = Field(
        None, description="other individuals that are scored; null takes what data.train has, or holds some out of it"
    )
    source: str | None = Field(None, description="across domains: individuals of the place to learn from")
    target: str | None = Field(
        None, description="across domains: images of another place; who they show is used for the final score only"
    )
    aspect: float = Field(
        1.0, ge=0.25, le=4, description="height of the input over its width: 2 for people who stand; else squares"
    )


class ReidTrain(TrainSection):
    per_identity: int = Field(4, ge=2, le=64, description="images of each individual in a batch")
    augment: Literal["none", "flip", "crop", "jitter"] = Field(
        "crop", description="none | flip: mirrored | crop: and shifted | jitter: and other light and colours"
    )
    erasing: float = Field(
        0.5, ge=0, le=1, description="share of images of which a random rectangle is blanked; hurts across domains"
    )


class ReidEval(EvalSection):
    selection: Literal["last", "source-val", "label-free", "oracle"] = Field(
        "last",
        description="the epoch is the last | the best on a fifth of the individuals, held out | the one whose clusters "
        "stand apart best | oracle: the best on the test",
    )
    splits: int = Field(
        1, ge=1, le=100, description="draws of who is learned and who is scored, for small sets; each trains anew"
    )
    test_identities: Annotated[int, Field(ge=2, le=1_000_000)] | None = Field(
        None, description="individuals that a draw scores; null is half of them"
    )
    query_cameras: list[str] = Field(
        [],
        description="of undivided data: these cameras' images ask and the others answer; empty: each asks all others",
    )
    multi_query: bool = Field(False, description="all queries of an individual and camera ask together, by their mean")
    single_shot: int = Field(
        0,
        ge=0,
        le=1000,
        description="draws of a gallery with one image of each individual and camera; 0 takes it whole",
    )
    rerank: bool = Field(False, description="rank by shared neighbours too (k-reciprocal re-ranking), and show both")
    k1: int = Field(
        20, ge=1, le=1000, description="re-ranking: neighbours looked at; about the images an individual has"
    )
    k2: int = Field(6, ge=1, le=1000, description="re-ranking: nearest ones that neighbourhoods are averaged over")
    keep: float = Field(0.3, ge=0, le=1, description="re-ranking: weight of the distance itself beside the neighbours")
    flip: bool = Field(False, description="look at the mirrored image too, and take the mean")
    camera_statistics: ByCamera = Field(
        "none",
        description="score without labels by what each camera's own images say | mean: their mean embedding is taken "
        "away | norms: batch norms have their statistics",
    )


@task
class Reid(Task):
    """Says which individuals of a gallery an image shows: people, animals, vehicles, products."""

    name = "reid"
    title = "Recognise individuals"
    headlines = {
        "rank1": "rank-1 (the nearest is the same individual)",
        "map": "mAP (over all matches)",
        "direct_rank1": "rank-1 of source only (no adaptation)",
        "rank5": "rank-5",
    }
    truth, takes = "identities", ("labels",)
    care = (
        "For animals, vehicles, parts and products, and for people who were told beforehand who is recognised, by "
        "whom, for what and for how long, have agreed and can take it back. Not for watching or identifying anybody "
        "else, and not for deciding about people. A gallery of people is personal data; the tool Forget deletes it."
    )
    hub_tag = "image-feature-extraction"
    starter = "reid-quick"
    looks = ("flip",)
    needs_classes = False
    personal = ("gallery.",)
    Data, Train, Eval = ReidData, ReidTrain, ReidEval

    def exporter(self, kind: str) -> "Callable[..., tuple[str, str]] | None":
        from adapters.reid.exporters import write_onnx

        return write_onnx if kind == "onnx" else None

    def check(self, recipe: "Recipe") -> None:
        data = recipe.data
        if bool(data.query) != bool(data.gallery):
            missing = "gallery" if data.query else "query"
            raise UsageError(f"data.{missing}: nothing is named; data.query and data.gallery go together.")
        if data.query and data.test:
            raise UsageError(
                "data.test: data.query and data.gallery say already what is scored. Leave one of them out."
            )
        if data.train and (data.source or data.target):
            raise UsageError("data.train: across domains, data.source and data.target say what is learned from.")
        from studio.core.faces import Estimator

        if recipe.eval.flip and issubclass(recipe.method_class(), Estimator):
            raise UsageError(f"eval.flip: {recipe.method} keeps the features of images as they are. Leave it out.")
        if recipe.eval.camera_statistics == "norms" and issubclass(recipe.method_class(), Estimator):
            raise UsageError(
                f"eval.camera_statistics: {recipe.method} keeps the network as it is; expected none or mean."
            )
        self._check_adapting(recipe)
        if recipe.train.batch_size < 2 * recipe.train.per_identity:
            raise UsageError(
                f"train.batch_size: {recipe.train.batch_size} images hold fewer than two individuals of "
                f"{recipe.train.per_identity} (train.per_identity); expected {2 * recipe.train.per_identity} or more."
            )

    def _check_adapting(self, recipe: "Recipe") -> None:
        data, rule = recipe.data, recipe.eval.selection
        adapts = getattr(recipe.method_class(), "adapts", lambda: False)()
        needs_source = getattr(recipe.method_class(), "needs_source", False)
        params = recipe.method_params()
        if getattr(params, "by_camera", "none") == "norms" and params.freeze_statistics:  # type: ignore[attr-defined]
            raise UsageError(
                "params.by_camera: norms takes the batch-norm statistics of each camera, and params.freeze_statistics "
                "keeps the pretrained ones. Set that to false, or params.by_camera to mean."
            )
        if adapts and not data.target:
            raise UsageError(
                f"data.target: nothing is named, and {recipe.method} learns from images without labels. Name them "
                "there; data.source may name labelled individuals of another place to begin from."
            )
        if needs_source and not data.source:
            raise UsageError(
                f"data.source: nothing is named, and {recipe.method} learns from labelled individuals of another place."
            )
        if (needs_source or not adapts) and rule == "label-free":
            raise UsageError(
                f"eval.selection: label-free looks at clusters, and {recipe.method} makes none; expected last, "
                "source-val or oracle."
            )
        if adapts and rule == "source-val" and not data.source:
            raise UsageError("eval.selection: source-val looks at individuals of data.source, which names nothing.")
