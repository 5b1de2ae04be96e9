"""`generalize/table`: methods x held-out domains x seeds in one run, which goes on where it was interrupted."""

from dataclasses import replace
from shutil import rmtree
from typing import Any

from pydantic import BaseModel, Field

from adapters.generalize.base import Generalizer
from adapters.generalize.domains import DomainSplits, resolve_domains
from adapters.generalize.task import GeneralizeData
from adapters.generalize.training import RULES, Decodings, decode_domains, set_up, train_selected
from adapters.tables.cells import Cell, Key, fill
from adapters.tables.files import averaged, write_tables
from adapters.tables.named_domains import NamedDomains
from adapters.tables.paired import beside, columns_beside
from adapters.tables.seeds import Seeds, one_seed
from adapters.tables.settings import chosen, params_of
from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.recipe import Recipe
from studio.core.registry import Method, procedure, register
from studio.data.preprocess import Preprocess
from studio.engine.decoded import judge, predict_pixels

PLAIN = "erm"


class TableParams(NamedDomains, Seeds):
    methods: str = Field("", description="ids without generalize/, by comma; empty takes all")
    unseen: str = Field("", description="names of the domains that are left out in turn, by comma; empty takes each")
    common: dict[str, Any] = Field({}, description="params of every method, such as {freeze_statistics: false}")
    settings: dict[str, dict[str, Any]] = Field({}, description="params by method, the same for every domain")


@register("generalize/table")
class GeneralizeTable(Method):
    """Every method on every domain left out in turn, each beside ERM on the same splits and seeds.

    A number is the accuracy on all images of the domain that was left out, of weights that were chosen by
    eval.selection. Differences to ERM are paired over domains and seeds.
    """

    title = "Leave-one-domain-out table"
    paper = "protocol of Gulrajani and Lopez-Paz 2021, In Search of Lost Domain Generalization; one setting a method"
    task = "generalize"
    uses = ("train.epochs", "train.lr", "eval.selection")
    takes_checkpoint = False
    Params = TableParams

    def parts(self, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """A part is a domain left out and a seed: its methods share the images."""
        unseen, seeds = left_out(self.params, self.params.specs()), self.params.each_seed()
        if len(unseen) * len(seeds) == 1:
            return {}
        return {f"{name} {seed}": {"params.unseen": name, **one_seed(seed)} for name in unseen for seed in seeds}


@procedure
class LeavingEachOut(Procedure):
    """Runs `generalize/table`. A finished cell is a line of `cells.jsonl` in the run's folder."""

    task = "generalize"
    face = GeneralizeTable

    def run(self, job: Job) -> Outcome:
        params: TableParams = job.method.params
        specs, methods = params.specs(), methods_of(params)
        unseen = left_out(params, specs)
        wanted = [(method, name, seed) for name in unseen for seed in params.each_seed() for method in methods]
        kept = _LeftOut()
        cells = fill(job, wanted, lambda key: _cell(_job_of(job, key, specs), key, kept))
        return Outcome(_report(job, methods, unseen, cells))

    def restore(self, checkpoint: Any, device: str, home: Any, store: Any) -> Predictor:
        raise UsageError("A table of methods leaves no checkpoint. Run one of its methods to get one.")


def methods_of(params: TableParams) -> list[str]:
    """ERM and those that are named. Raises UsageError for one that is not there, or params that do not fit it."""
    known = [
        cls.id.removeprefix("generalize/") for cls in registry.methods("generalize") if issubclass(cls, Generalizer)
    ]
    methods = [PLAIN, *(name for name in chosen(params.methods, known, "generalize", params.settings) if name != PLAIN)]
    for name in methods:
        _params(name, params)
    return methods


def left_out(params: TableParams, specs: dict[str, str]) -> list[str]:
    """The domains that are left out in turn. Raises UsageError for too few domains, or one that is not there."""
    if len(specs) < 3:
        raise UsageError(
            f"params.domains: found {len(specs)}; leaving one out and learning from several needs three or more, such "
            "as `photo=folder:{folder}/photo; sketch=folder:{folder}/sketch; ...`."
        )
    asked = [part.strip() for part in params.unseen.split(",") if part.strip()]
    for name in asked:
        if name not in specs:
            raise UsageError(f"params.unseen: {name!r} is none of the domains.{nearest(name, specs)}")
    return asked or list(specs)


def _params(name: str, params: TableParams) -> BaseModel:
    return params_of(registry.get(f"generalize/{name}"), {**params.common, **params.settings.get(name, {})})


def _job_of(job: Job, key: Key, specs: dict[str, str]) -> Job:
    """The job of one cell: its method, the other domains as sources, its seed."""
    method, unseen, seed = key
    sources = ",".join(spec for name, spec in specs.items() if name != unseen)
    parts = {
        "method": f"generalize/{method}",
        "data": GeneralizeData(sources=sources, test=specs[unseen]),
        "train": job.recipe.train.model_copy(update={"seed": seed}),
    }
    learner = registry.get(parts["method"])(_params(method, job.method.params))
    return replace(job, recipe=job.recipe.model_copy(update=parts), method=learner)


class _LeftOut:
    """The splits and images of one domain left out at one seed, kept for the next cell: these come in a row."""

    def __init__(self) -> None:
        self.key: tuple[str, int] | None = None

    def splits_of(self, job: Job, key: tuple[str, int]) -> DomainSplits:
        if key != self.key:
            self.key, self.decodings = key, None
            self.splits = resolve_domains(job.recipe.data, job.recipe.train.seed, job.home)
        return self.splits

    def decoded(self, job: Job, preprocess: Preprocess) -> Decodings:
        if self.decodings is None:
            self.decodings = decode_domains(job, self.splits, preprocess)
        return self.decodings


def _cell(job: Job, key: Key, kept: _LeftOut) -> Cell:
    """One training, and its accuracy on the domain left out."""
    method, unseen, seed = key
    state = job.folder / "state" / f"{method} without {unseen}"
    job, name = replace(job, resume=job.resume and state.exists()), f"{state.name}/{seed}"
    session = set_up(job, job.method, kept.splits_of(job, (unseen, seed)), name)
    decodings = kept.decoded(job, session.preprocess)
    progress = train_selected(job, session, decodings, name)
    scored = {
        split: judge(predict_pixels(job, session.learner, images, session.preprocess), images)["accuracy"]
        for split, images in (("accuracy", decodings.unseen), ("val_accuracy", decodings.val))
    }
    rmtree(state, ignore_errors=True)  # the resume state of a whole network
    return {**scored, "note": "" if session.learner.chooses else f"epoch {progress.best_epoch}"}


def _report(job: Job, methods: list[str], unseen: list[str], cells: dict[Key, Cell]) -> dict[str, Any]:
    seeds = job.method.params.each_seed()
    rows = [
        (name, [*values, *beside(name, PLAIN, unseen, seeds, cells)])
        for name, values in averaged(methods, unseen, seeds, cells)
    ]
    columns = ["method", *unseen, "average", *columns_beside("ERM")]
    shown = [[name, *(None if value is None else round(value, 1) for value in values)] for name, values in rows]
    job.table("accuracy on the domain left out, %", columns, shown)
    write_tables(job.folder, columns, rows)
    averages = {name: values[len(unseen)] for name, values in rows if values[len(unseen)] is not None}
    best = max(averages, key=lambda name: averages[name]) if averages else None
    return {
        "accuracy": None if best is None else averages[best] / 100,
        "best": best,
        "averages": {name: round(value, 2) for name, value in averages.items()},
        "cells": len(cells),
        "selection": RULES[job.recipe.eval.selection],
        "scored_on": f"each of {len(unseen)} domains left out; the best of {len(methods)} methods on these very images",
    }
