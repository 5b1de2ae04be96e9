"""`align/table`: shallow and deep methods x tasks x seeds in one run, which goes on where it was interrupted."""

from dataclasses import dataclass
from itertools import permutations
from typing import Any

from pydantic import BaseModel, Field

from adapters.align.base import Aligner, FewLabels
from adapters.align.deep.base import DeepLearner
from adapters.align.deep.run.cells import PLAIN, DeepCells, deep_method
from adapters.align.deep.run.memory import training_gb
from adapters.align.domains import Domain, Pair, TargetTruth, backbone_for, open_domain, pair_of, reveal
from adapters.align.procedure import before_and_after, fitted, target_supervised, threads_for
from adapters.tables.cells import Cell, Key, fill, read_cells
from adapters.tables.files import averaged, write_tables
from adapters.tables.named_domains import NamedDomains
from adapters.tables.paired import beside, columns_beside
from adapters.tables.seeds import Seeds, one_seed
from adapters.tables.settings import chosen, params_of
from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.home import Home
from studio.core.procedure import CELLS, Job, Outcome, Predictor, Procedure
from studio.core.recipe import Recipe
from studio.core.registry import Method, procedure, register

BOUND = "target labels (bound)"


class TableParams(NamedDomains, Seeds):
    methods: str = Field(
        "", description="ids without align/, by comma; `shallow` and `deep` stand for all of a kind, empty for shallow"
    )
    tasks: str = Field("", description="SOURCE-TARGET by comma; empty takes every ordered pair")
    normalize: str = Field("zscore-unit", description="how features are normalised, for every shallow method")
    common: dict[str, Any] = Field({}, description="params of every deep method, such as {backbone_lr: 1.0}")
    settings: dict[str, dict[str, Any]] = Field({}, description="params by method, the same for every task")


@register("align/table")
class AlignTable(Method):
    """Every method on every pair of domains, beside source only and the bound by target labels.

    Shallow methods work on frozen features of `model.backbone`, deep ones train it, each for `train.epochs`, and keep
    the epoch of `eval.selection`. Differences are paired over tasks and seeds: to source only of the same kind.
    """

    title = "Table of methods and tasks"
    paper = "protocol: full source, full target, one setting a method across tasks"
    task = "align"
    uses = ("train.epochs", "train.lr", "eval.selection", "eval.score", "eval.unknown")
    takes_checkpoint = False
    Params = TableParams

    def parts(self, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """A part is a task and a seed: its methods share the images, and some start from its source only."""
        tasks, seeds = _tasks(self.params.tasks, list(domain_specs(self.params, recipe))), self.params.each_seed()
        if len(tasks) * len(seeds) == 1:
            return {}
        return {f"{task} {seed}": {"params.tasks": task, **one_seed(seed)} for task in tasks for seed in seeds}


@procedure
class Table(Procedure):
    """Runs `align/table`. A finished cell is a line of `cells.jsonl` in the run's folder."""

    task = "align"
    face = AlignTable

    def memory_gb(self, recipe: Recipe, home: Home) -> float:
        deep = [registry.get(f"align/{name}") for name in _methods(recipe.method_params()).deep]  # type: ignore[arg-type]
        return max([super().memory_gb(recipe, home), *(training_gb(recipe, cls, home) for cls in deep)])

    def run(self, job: Job) -> Outcome:
        params: TableParams = job.method.params
        specs = domain_specs(params, job.recipe)
        tasks, methods = _tasks(params.tasks, list(specs)), _methods(params)
        wanted = [(m, t, s) for t in tasks for s in params.each_seed() for m in methods.names]
        pairs = _pairs(job, specs, tasks) if methods.shallow else {}
        settings = {name: {**params.common, **params.settings.get(name, {})} for name in methods.deep}
        deep = DeepCells(job, specs, settings, read_cells(job.folder / CELLS))

        def compute(key: Key) -> Cell:
            method, task, seed = key
            if method in methods.deep:
                return deep.cell(key)
            with threads_for(pairs[task][0]):
                return _cell(method, seed, *pairs[task], params)

        cells = fill(job, wanted, compute)
        return Outcome(_report(job, params, methods, tasks, cells, pairs))

    def restore(self, checkpoint: Any, device: str, home: Any, store: Any) -> Predictor:
        raise UsageError("A table of methods leaves no checkpoint. Run one of its methods to get one.")


def domain_specs(params: TableParams, recipe: Recipe) -> dict[str, str]:
    """Data specs by domain name: `params.domains`, else data.source and data.target. Raises UsageError for too few."""
    data = recipe.data
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
    methods: "Methods",
    tasks: list[str],
    cells: dict[Key, Cell],
    pairs: dict[str, tuple[Pair, TargetTruth]],
) -> dict[str, Any]:
    averages = _write(job, params, methods, tasks, cells)
    ranked = [name for name in averages if name not in (BOUND, "none", PLAIN) and not _few_labels(name)]
    plain = averages.get("none" if methods.shallow else PLAIN)
    metrics: dict[str, Any] = {
        "target_accuracy": None,
        "source_only_accuracy": None if plain is None else plain / 100,
        "averages": {name: round(value, 2) for name, value in averages.items()},
        "cells": len(cells),
        "selection": _selection(job, methods),
    }
    if ranked:
        top = max(ranked, key=lambda name: averages[name])
        metrics |= {"target_accuracy": averages[top] / 100, "best": top}
    shallow = [name for name in ranked if name in methods.shallow]
    if shallow:
        _show_first(job, params, max(shallow, key=lambda name: averages[name]), tasks[0], pairs)
    return metrics


def _write(
    job: Job, params: TableParams, methods: "Methods", tasks: list[str], cells: dict[Key, Cell]
) -> dict[str, float]:
    """The table into the events and files; the averages in percent of those methods that have all their cells."""
    rows = []
    for name, values in averaged(methods.names, tasks, params.each_seed(), cells):
        plain = PLAIN if name in methods.deep else "none"
        rows.append((name, [*values, *beside(name, plain, tasks, params.each_seed(), cells)]))
    columns = ["method", *tasks, "average", *columns_beside("source only")]
    shown = [[name, *(None if v is None else round(v, 1) for v in values)] for name, values in rows]
    job.table("accuracy on the target, %", columns, shown)
    write_tables(job.folder, columns, rows)
    return {name: values[len(tasks)] for name, values in rows if values[len(tasks)] is not None}


def _selection(job: Job, methods: "Methods") -> str:
    recipe = job.recipe
    shallow = "none (one setting a method across tasks)"
    score = (
        f": {recipe.eval.score or 'diversity, of partial methods entropy'}"
        if recipe.eval.selection == "label-free"
        else ""
    )
    deep = f"the epoch by {recipe.eval.selection}{score}"
    if not methods.deep:
        return shallow
    return f"shallow: {shallow}; deep: {deep}" if methods.shallow else deep


def _show_first(
    job: Job, params: TableParams, method: str, task: str, pairs: dict[str, tuple[Pair, TargetTruth]]
) -> None:
    """The first task before and after the best shallow method."""
    pair, truth = pairs[task]
    if pair.xs.shape[1] == pair.xt.shape[1]:
        with threads_for(pair):
            model = fitted(registry.get(f"align/{method}"), _params(method, params), pair)
            job.figure(f"before-and-after-{task}", before_and_after(model, pair, truth, 0))


def _few_labels(name: str) -> bool:
    return name != BOUND and issubclass(registry.get(f"align/{name}"), FewLabels)


def _pairs(job: Job, specs: dict[str, str], tasks: list[str]) -> dict[str, tuple[Pair, TargetTruth]]:
    """Features of each task's domains."""
    backbone = backbone_for(job, list(specs.values()))
    domains = {name: open_domain(job, spec, backbone, name) for name, spec in specs.items()}
    return {task: _pair(job, domains, task) for task in tasks}


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


@dataclass(frozen=True)
class Methods:
    """What is in the table, by kind, each behind its source only; the bound comes last."""

    shallow: list[str]
    deep: list[str]

    @property
    def names(self) -> list[str]:
        return [*self.shallow, *self.deep, *([BOUND] if self.shallow else [])]


def _methods(params: TableParams) -> Methods:
    """Raises UsageError for a method that is not there, or params that do not fit it."""
    kinds = {"shallow": _known(Aligner, "none"), "deep": _known(DeepLearner, PLAIN)}
    groups = {"shallow": kinds["shallow"], "deep": [name for name in kinds["deep"] if _of_two_domains(name)]}
    parts = [part.strip() for part in (params.methods or "shallow").split(",")]
    expanded = [name for part in parts for name in groups.get(part, [part])]
    asked = chosen(",".join(expanded), [*kinds["shallow"], *kinds["deep"]], "align", params.settings)
    shallow, deep = ([name for name in known if name in asked] for known in kinds.values())
    methods = Methods(_behind("none", shallow), _behind(PLAIN, deep))
    for name in methods.shallow:
        _params(name, params)
    for name in methods.deep:
        deep_method(name, {**params.common, **params.settings.get(name, {})})
    return methods


def _known(face: type[Method], first: str) -> list[str]:
    """The methods of a kind, the `first` before the others, and behind them those that start from its checkpoint."""
    known = [cls for cls in registry.methods("align") if issubclass(cls, face)]
    known.sort(key=lambda cls: (cls.id != f"align/{first}", getattr(cls, "needs_checkpoint", False)))
    return [cls.id.removeprefix("align/") for cls in known]


def _of_two_domains(name: str) -> bool:
    """A deep method for a target of the same classes, which is trained before it predicts."""
    cls = registry.get(f"align/{name}")
    return cls.setting == "closed" and not cls.online


def _behind(first: str, methods: list[str]) -> list[str]:
    return [first, *(name for name in methods if name != first)] if methods else []
