"""`align/table`: methods x tasks x seeds in one run, which goes on where it was interrupted."""

from itertools import permutations
from typing import Any

from pydantic import BaseModel, Field

from adapters.align.base import TRAIN_KEYS, Aligner, FewLabels
from adapters.align.domains import Domain, Pair, TargetTruth, backbone_for, open_domain, pair_of, reveal
from adapters.align.procedure import before_and_after, fitted, target_supervised, threads_for
from adapters.tables.cells import Cell, Key, fill
from adapters.tables.files import averaged, write_tables
from adapters.tables.named_domains import NamedDomains
from adapters.tables.settings import chosen, params_of
from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import Method, procedure, register

BOUND = "target labels (bound)"


class TableParams(NamedDomains):
    methods: str = Field("", description="ids without align/, by comma; empty takes all")
    tasks: str = Field("", description="SOURCE-TARGET by comma; empty takes every ordered pair")
    seeds: int = Field(1, ge=1, le=1000, description="seeds: 0, 1, ...")
    normalize: str = Field("zscore-unit", description="how features are normalised, for every method")
    settings: dict[str, dict[str, Any]] = Field({}, description="params by method, the same for every task")


@register("align/table")
class AlignTable(Method):
    """Every method on every pair of domains, beside source only and the bound by target labels."""

    title = "Table of methods and tasks"
    paper = "protocol: full source, full target, one setting a method across tasks"
    task = "align"
    uses = ()
    train_keys = TRAIN_KEYS
    Params = TableParams


@procedure
class Table(Procedure):
    """Runs `align/table`. A finished cell is a line of `cells.jsonl` in the run's folder."""

    task = "align"
    face = AlignTable

    def run(self, job: Job) -> Outcome:
        params: TableParams = job.method.params
        specs = domain_specs(job)
        tasks, methods = _tasks(params.tasks, list(specs)), _methods(params)
        wanted = [(m, t, s) for t in tasks for m in methods for s in range(params.seeds)]
        backbone = backbone_for(job, list(specs.values()))
        domains = {name: open_domain(job, spec, backbone, name) for name, spec in specs.items()}
        pairs = {task: _pair(job, domains, task) for task in tasks}

        def compute(key: Key) -> Cell:
            method, task, seed = key
            with threads_for(pairs[task][0]):
                return _cell(method, seed, *pairs[task], params)

        cells = fill(job, wanted, compute)
        return Outcome(_report(job, params, methods, tasks, cells, pairs))

    def restore(self, checkpoint: Any, device: str, home: Any, store: Any) -> Predictor:
        raise UsageError("A table of methods leaves no checkpoint. Run one of its methods to get one.")


def domain_specs(job: Job) -> dict[str, str]:
    """Data specs by domain name: `params.domains`, else data.source and data.target. Raises UsageError for too few."""
    params, data = job.method.params, job.recipe.data
    if specs := params.specs():
        return specs
    if not (data.source and data.target):
        raise UsageError("params.domains: name two domains or more, such as `A=folder:a; B=folder:b`.")
    return {"source": data.source, "target": data.target}


def _params(name: str, params: TableParams) -> BaseModel:
    return params_of(registry.get(f"align/{name}"), {"normalize": params.normalize, **params.settings.get(name, {})})


def _cell(method: str, seed: int, pair: Pair, truth: TargetTruth, params: TableParams) -> Cell:
    if method == BOUND:
        plain = registry.get("align/none")
        return {"accuracy": target_supervised(plain(_params("none", params)), pair, truth, seed)}
    accuracy, note = _accuracy(registry.get(f"align/{method}"), pair, truth, params, seed)
    return {"accuracy": accuracy, "note": note}


def _accuracy(
    cls: type[Aligner], pair: Pair, truth: TargetTruth, params: TableParams, seed: int
) -> tuple[float | None, str]:
    settings = _params(cls.id.removeprefix("align/"), params)
    if "seed" in type(settings).model_fields:
        settings = settings.model_copy(update={"seed": seed})
    few = issubclass(cls, FewLabels)
    revealed = reveal(truth, settings.labelled_per_class, pair.classes, seed) if few else None
    model, rows = fitted(cls, settings, pair, revealed), truth.scored(revealed)
    return truth.accuracy(model.predict(pair.xt[rows]), rows) if rows.any() else None, model.note


def _report(
    job: Job,
    params: TableParams,
    methods: list[str],
    tasks: list[str],
    cells: dict[Key, Cell],
    pairs: dict[str, tuple[Pair, TargetTruth]],
) -> dict[str, Any]:
    rows = averaged(methods, tasks, params.seeds, cells)
    columns = ["method", *tasks, "average"]
    shown = [[name, *(None if v is None else round(v, 1) for v in values)] for name, values in rows]
    job.table("accuracy on the target, %", columns, shown)
    write_tables(job.folder, columns, rows)
    averages = {name: values[-1] for name, values in rows if values[-1] is not None}
    ranked = [name for name in averages if name not in (BOUND, "none") and not _few_labels(name)]
    metrics: dict[str, Any] = {
        "target_accuracy": None,
        "source_only_accuracy": averages["none"] / 100 if "none" in averages else None,
        "averages": {name: round(value, 2) for name, value in averages.items()},
        "cells": len(cells),
        "selection": "none (one setting a method across tasks)",
    }
    if ranked:
        top = max(ranked, key=lambda name: averages[name])
        metrics |= {"target_accuracy": averages[top] / 100, "best": top}
        task = tasks[0]
        pair, truth = pairs[task]
        cls = registry.get(f"align/{top}")
        if pair.xs.shape[1] == pair.xt.shape[1]:
            with threads_for(pair):
                model = fitted(cls, _params(top, params), pair)
                job.figure(f"before-and-after-{task}", before_and_after(model, pair, truth, 0))
    return metrics


def _few_labels(name: str) -> bool:
    return name != BOUND and issubclass(registry.get(f"align/{name}"), FewLabels)


def _pair(job: Job, domains: dict[str, Domain], task: str) -> tuple[Pair, TargetTruth]:
    source, _, target = task.partition("-")
    pair, truth = pair_of(domains[source], domains[target])
    if pair.note:
        job.events.warning(f"{task}: {pair.note}")
    return pair, truth


def _tasks(text: str, names: list[str]) -> list[str]:
    if not text.strip():
        return [f"{source}-{target}" for source, target in permutations(names, 2)]
    tasks = [part.strip() for part in text.split(",") if part.strip()]
    for task in tasks:
        for name in task.split("-"):
            if task.count("-") != 1 or name not in names:
                raise UsageError(f"params.tasks: {task!r} names no two of the domains.{nearest(name, names)}")
    return tasks


def _methods(params: TableParams) -> list[str]:
    known = [cls.id.removeprefix("align/") for cls in registry.methods("align") if issubclass(cls, Aligner)]
    methods = [name for name in chosen(params.methods, known, "align", params.settings) if name != "none"]
    for name in methods:
        _params(name, params)
    return ["none", *methods, BOUND]
