"""All heads on the same episodes: one table with intervals, paired differences and seconds."""

from typing import Any

from pydantic import Field

from fewshot.episode_files import save_episodes
from fewshot.evaluate import EpisodeScores
from fewshot.material import files_of, train_and_test
from fewshot.procedure import episodes_of, has_train, score, start
from fewshot.report import metrics_of
from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.faces import EpisodeHead
from studio.core.procedure import Job, Outcome, Procedure
from studio.core.registry import Params, procedure, register
from studio.metrics import paired_difference

REFERENCE = "fewshot/prototypes"


class CompareParams(Params):
    heads: list[str] = Field([], description="heads to compare, such as ridge or fewshot/ridge; empty takes all")
    save_episodes: bool = Field(
        False, description="write the episodes to episodes.json in the run's folder, as eval.episodes_file reads them"
    )


@register("fewshot/compare")
class Compare(EpisodeHead):
    """Scores heads on the same episodes, so that differences are paired and do not hang on the draw.

    The table gives for each head its accuracy with a 95% interval, its paired difference to prototypes, and the
    seconds it took. It teaches no checkpoint; run the head you choose.
    """

    title = "Compare heads"
    paper = "paired differences over common episodes"
    takes_checkpoint = False
    Params = CompareParams


@procedure
class CompareProcedure(Procedure):
    """Runs fewshot/compare."""

    task = "classify"
    face = Compare

    def run(self, job: Job) -> Outcome:
        heads = chosen_heads(job.method.params.heads)
        backbone, _ = start(job)
        train, test = train_and_test(job, backbone) if has_train(job) else (None, None)
        material = episodes_of(job, backbone, train, test)
        if job.method.params.save_episodes:
            support, query = files_of(material.support.dataset), files_of(material.query.dataset)
            save_episodes(job.folder / "episodes.json", material.source, support, query)
            job.events.note("The episodes are in episodes.json of the run's folder.")
        results = {head.id: score(job, head, material, head.title) for head in heads}
        job.table("heads", COLUMNS, rows(heads, results))
        best = max(results, key=lambda head: results[head].interval[0])
        metrics = {
            **metrics_of(results[best]),
            "best": best,
            "accuracy_by_head": {head: result.interval[0] for head, result in results.items()},
            "selection": "the best head on these very episodes",
            "scored_on": material.scored_on,
        }
        return Outcome(metrics)


COLUMNS = [
    "head", "accuracy", "±95%", "minus prototypes", "±95% paired", "macro F1", "ECE", "seconds", "looks at",
]  # fmt: skip


def rows(heads: list[EpisodeHead], results: dict[str, EpisodeScores]) -> list[list[Any]]:
    """A row a head, best first; differences are paired over episodes."""
    reference = results.get(REFERENCE)
    table = []
    for head in sorted(heads, key=lambda head: -results[head.id].interval[0]):
        result = results[head.id]
        difference: tuple[float | None, float | None] = (None, None)
        if reference is not None and result is not reference:
            difference = paired_difference(result.accuracy, reference.accuracy)
        numbers = [*result.interval, *difference, result.macro_f1, result.ece]
        table.append(
            [head.id, *(n if n is None else round(n, 4) for n in numbers), round(result.seconds, 3), looks_at(head)]
        )
    return table


def looks_at(head: EpisodeHead) -> str:
    """What a head sees when it predicts a query, in words for a table."""
    if not head.transductive:
        return "one query at a time"
    return "all queries, taken for balanced" if head.assumes_balanced else "all queries"


def chosen_heads(names: list[str]) -> list[EpisodeHead]:
    """The heads of these names with their default parameters, or all. Raises UsageError for an unknown one."""
    known = {
        cls.id: cls
        for cls in registry.methods("classify")
        if issubclass(cls, EpisodeHead) and not issubclass(cls, Compare)
    }
    wanted = [name if "/" in name else f"fewshot/{name}" for name in names] or list(known)
    for name in wanted:
        if name not in known:
            raise UsageError(f"params.heads: there is no head {name!r}.{nearest(name, known)}")
    return [known[name]() for name in dict.fromkeys(wanted)]
