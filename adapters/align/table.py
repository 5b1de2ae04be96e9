"""`align/table`: methods x tasks x seeds in one run, which goes on where it was interrupted."""

import json
import time
from itertools import permutations
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from adapters.align.base import TRAIN_KEYS, Aligner, FewLabels
from adapters.align.domains import Domain, Pair, TargetTruth, backbone_for, open_domain, pair_of, reveal
from adapters.align.procedure import before_and_after, fitted, target_supervised, threads_for
from adapters.align.table_files import averaged, write_tables
from studio.core import registry
from studio.core.errors import StoppedByUser, StudioError, UsageError, nearest
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import Method, Params, procedure, register

BOUND = "target labels (bound)"


class TableParams(Params):
    domains: str = Field("", description="NAME=SPEC; NAME=SPEC ... ({folder} stands for params.folder)")
    folder: str = Field("", description="what {folder} in `domains` stands for")
    methods: str = Field("", description="ids without align/, by comma; empty takes all")
    tasks: str = Field("", description="SOURCE-TARGET by comma; empty takes every ordered pair")
    seeds: int = Field(1, ge=1, le=1000, description="seeds: 0, 1, ...")
    normalize: str = Field("zscore-unit", description="how features are normalised, for every method")
    settings: dict[str, dict[str, Any]] = Field({}, description="params by method, the same for every task")

    def data_specs(self) -> list[str]:
        return list(self.specs().values())

    def specs(self) -> dict[str, str]:
        """Data specs by domain name; none where `domains` is empty. Raises UsageError for what names none, or one."""
        if not self.domains:
            return {}
        if "{folder}" in self.domains and not self.folder:
            raise UsageError("params.folder: the domains lie in a folder that must be named: --set params.folder=PATH")
        specs = {}
        for text in filter(None, (part.strip() for part in self.domains.split(";"))):
            name, sign, spec = text.partition("=")
            if not sign or not name.strip() or "-" in name:
                raise UsageError(f"params.domains: found {text!r}; expected NAME=SPEC with no hyphen in the name.")
            specs[name.strip()] = spec.strip().replace("{folder}", self.folder.rstrip("/\\"))
        if len(specs) < 2:
            raise UsageError("params.domains: at least two domains are needed.")
        return specs


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
        path = job.folder / "cells.jsonl"
        cells = read_cells(path)
        backbone = backbone_for(job, list(specs.values()))
        domains = {name: open_domain(job, spec, backbone, name) for name, spec in specs.items()}
        pairs: dict[str, tuple[Pair, TargetTruth]] = {}
        for done, (method, task, seed) in enumerate(wanted):
            job.events.progress("cells", done, len(wanted))
            if (method, task, seed) in cells:
                continue
            if job.should_stop():
                raise StoppedByUser(f"Stopped after {done} of {len(wanted)} cells; a resumed run goes on from there.")
            if task not in pairs:
                pairs[task] = _pair(job, domains, task)
            pair, truth = pairs[task]
            with threads_for(pair):
                cell = _cell(method, task, seed, pair, truth, params)
            if cell["error"]:
                job.events.warning(f"{method} on {task}: {cell['error']}")
            cells[method, task, seed] = cell
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(cell) + "\n")
        job.events.progress("cells", len(wanted), len(wanted))
        return Outcome(_report(job, params, methods, tasks, cells, pairs, domains))

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


def read_cells(path: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Finished cells by (method, task, seed); a line cut short by a kill is left out, and ended."""
    cells: dict[tuple[str, str, int], dict[str, Any]] = {}
    if not path.exists():
        return cells
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n")
    for line in text.splitlines():
        try:
            cell = json.loads(line)
            cells[cell["method"], cell["task"], cell["seed"]] = cell
        except (ValueError, KeyError, TypeError):
            continue
    return cells


def params_of(cls: type[Aligner], params: TableParams) -> BaseModel:
    """A method's params in this table. Raises UsageError where `settings` does not fit."""
    short = cls.id.removeprefix("align/")
    try:
        return cls.Params(**{"normalize": params.normalize, **params.settings.get(short, {})})
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        if fault["type"] == "extra_forbidden":
            known = nearest(where, cls.Params.model_fields)
            raise UsageError(f"params.settings.{short}: there is no parameter {where!r}.{known}") from None
        raise UsageError(f"params.settings.{short}.{where}: found {fault['input']!r}; {fault['msg']}.") from None


def _cell(
    method: str, task: str, seed: int, pair: Pair, truth: TargetTruth, params: TableParams
) -> dict[str, Any]:  # fmt: skip
    begun, accuracy, error, note = time.monotonic(), None, None, ""
    try:
        if method == BOUND:
            plain = registry.get("align/none")
            accuracy = target_supervised(plain(params_of(plain, params)), pair, truth, seed)
        else:
            accuracy, note = _accuracy(registry.get(f"align/{method}"), pair, truth, params, seed)
    except StudioError as problem:
        error = str(problem)
    seconds = round(time.monotonic() - begun, 3)
    return {
        "method": method, "task": task, "seed": seed, "accuracy": accuracy, "seconds": seconds, "error": error,
        "note": note,
    }  # fmt: skip


def _accuracy(
    cls: type[Aligner], pair: Pair, truth: TargetTruth, params: TableParams, seed: int
) -> tuple[float | None, str]:
    settings = params_of(cls, params)
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
    cells: dict[tuple[str, str, int], dict[str, Any]],
    pairs: dict[str, tuple[Pair, TargetTruth]],
    domains: dict[str, Domain],
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
        pair, truth = pairs.get(task) or _pair(job, domains, task)
        cls = registry.get(f"align/{top}")
        if pair.xs.shape[1] == pair.xt.shape[1]:
            with threads_for(pair):
                model = fitted(cls, params_of(cls, params), pair)
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
    asked = [part.strip().removeprefix("align/") for part in params.methods.split(",") if part.strip()]
    for name in [*asked, *params.settings]:
        if name not in known:
            raise UsageError(f"params.methods: there is no method align/{name}.{nearest(name, known)}")
    chosen = [name for name in (asked or known) if name != "none"]
    for name in chosen:
        params_of(registry.get(f"align/{name}"), params)
    return ["none", *chosen, BOUND]
