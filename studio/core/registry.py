"""The registry: every method by its id.

A method is one class in one file below a wing (`adapters/`, `fewshot/`):

    @register("fewshot/prototypes")
    class Prototypes(EpisodeHead):
        '''Nearest class mean. Snell et al. 2017, Prototypical Networks, eq. 1-2.'''
        ...

Nothing else changes when a method is added: `load()` finds the files. Five more things are registered the same
way: what a task is (`task`), how a kind of method is run (`procedure`), what can be done with its checkpoints
(`tool`), which image is labelled next (`rule`), and where backbones come from (`backbone_source`), so that no room has
to import a wing.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from studio.core.errors import UsageError, nearest
from studio.core.rights import LOCAL, Rights

PLACES = ("adapters", "fewshot")  # where methods, procedures and backbone sources are found
_METHODS: dict[str, type["Method"]] = {}
_PROCEDURES: dict[tuple[str, type], Any] = {}
_BACKBONE_SOURCES: dict[str, tuple[Callable[..., Any], "Listing"]] = {}
_TASKS: dict[str, Any] = {}
_TOOLS: dict[str, Any] = {}
_RULES: dict[str, Any] = {}
_loaded = False

Listing = Callable[[Rights], list[dict[str, Any]]]  # rows {name, usable, about} for one who asks


class Params(BaseModel):
    """A method's own parameters: one field each, with a default, a range and one line of help."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    def data_specs(self) -> list[str]:
        """The data that are named among these parameters."""
        return []

    def backbone_names(self) -> list[str]:
        """The backbones that are named among these parameters."""
        return []


class Method:
    """What every method says of itself. The faces (`studio.core.faces`) build on it.

    Class attributes: `id` (set by `register`), `title` (a few words), `paper` (where it comes from), `formula` (its
    central equation in LaTeX, shown on its page), `task` (the recipe task it serves), `face` (what it is given to do,
    set by the face), `Params`, `uses`.
    """

    id: str = ""
    title: str = ""
    paper: str = ""
    formula: str = ""
    task: str = "classify"
    face: str = "Method"
    Params: type[Params] = Params
    #: recipe keys that a person setting it up wants to see first
    uses: tuple[str, ...] = ("data.train",)
    #: keys of `train` that it looks at; None: all that its task has
    train_keys: tuple[str, ...] | None = None
    #: it goes on from `model.checkpoint`, or works on its backbone, where one is named
    takes_checkpoint: bool = True

    def __init__(self, params: Any = None) -> None:
        self.params = params if params is not None else self.Params()

    def parts(self, recipe: Any) -> dict[str, dict[str, Any]]:
        """Where it makes a table: the smaller tables that this one is made of, each by what it changes in the recipe
        (dotted keys). They can be worked on apart, each leaving its finished cells in its run's folder (`CELLS`, `DONE`
        of studio.core.procedure)."""
        return {}


def register(method_id: str) -> Callable[[type[Method]], type[Method]]:
    """Class decorator: makes the class known under `method_id`, such as `align/tca`."""

    def add(cls: type[Method]) -> type[Method]:
        known = _METHODS.get(method_id)
        if known is not None and known.__module__ != cls.__module__:
            raise ValueError(f"two methods are called {method_id!r}: {known.__module__} and {cls.__module__}")
        cls.id = method_id
        _METHODS[method_id] = cls
        return cls

    return add


def task(cls: type[Any]) -> type[Any]:
    """Class decorator for a `studio.core.task.Task`: makes it known under its `name`."""
    return _plug_in("tasks", _TASKS, cls)


def _plug_in(what: str, known: dict[str, Any], cls: type[Any]) -> type[Any]:
    other = type(known.get(cls.name)).__module__
    if cls.name in known and other != cls.__module__:
        raise ValueError(f"two {what} are called {cls.name!r}: {other} and {cls.__module__}")
    known[cls.name] = cls()
    return cls


@cache
def _load_tasks() -> None:
    """Imports `task.py` of every folder below the wings, and nothing else: recipes are read without torch."""
    for place in PLACES:
        package = importlib.import_module(place)
        for folder in (Path(root) for root in package.__path__):
            for file in sorted(folder.glob("*/task.py")):
                importlib.import_module(f"{place}.{file.parent.name}.task")


def tasks() -> list[Any]:
    """All tasks, by name."""
    _load_tasks()
    return [_TASKS[name] for name in sorted(_TASKS)]


def task_named(name: str) -> Any:
    """The task of this name. Raises UsageError naming the nearest known one."""
    _load_tasks()
    if name not in _TASKS:
        raise UsageError(f"task: there is no task {name!r}.{nearest(name, _TASKS)}")
    return _TASKS[name]


def tool(cls: type[Any]) -> type[Any]:
    """Class decorator for a `studio.core.tool.Tool`: makes it known under its `name`."""
    return _plug_in("tools", _TOOLS, cls)


def tools() -> list[Any]:
    """All tools that were imported, by name (`studio.runs.tools.tools` imports them all)."""
    load()
    return [_TOOLS[name] for name in sorted(_TOOLS)]


def rule(cls: type[Any]) -> type[Any]:
    """Class decorator for a `studio.core.labelling.Rule`: makes it known under its `name`."""
    return _plug_in("rules", _RULES, cls)


def rules() -> list[Any]:
    """All rules that choose which image is labelled next, by name."""
    load()
    return [_RULES[name] for name in sorted(_RULES)]


def rule_named(name: str) -> Any:
    """The rule of this name. Raises UsageError naming the nearest known one."""
    load()
    if name not in _RULES:
        raise UsageError(f"rule: there is no rule {name!r}.{nearest(name, _RULES)}")
    return _RULES[name]


def procedure(cls: type[Any]) -> type[Any]:
    """Class decorator for a `studio.core.procedure.Procedure`: serves its `task` and `face`."""
    _PROCEDURES[cls.task, cls.face] = cls()
    return cls


def procedure_for(method: type[Method]) -> Any:
    """The procedure that runs this method: that of its task and the nearest face it inherits from."""
    load()
    for base in method.__mro__:
        if (method.task, base) in _PROCEDURES:
            return _PROCEDURES[method.task, base]
    raise UsageError(f"method: nothing here can run {method.id!r} for task {method.task!r}.")


def backbone_source(
    scheme: str, listing: Listing = lambda rights: []
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Function decorator: loads backbones named `SCHEME/...` or `SCHEME:...`; `listing` names those it knows of."""

    def add(loader: Callable[..., Any]) -> Callable[..., Any]:
        _BACKBONE_SOURCES[scheme] = (loader, listing)
        return loader

    return add


def backbone(spec: str, **options: Any) -> Any:
    """The backbone named by `spec`, such as `pip/tf_efficientnet_lite0` (an adapters.backbones.Backbone).

    Options: image_size (pixels; None takes its own), home, weights (False: the shape alone, for a checkpoint
    to fill), architecture (what a manifest keeps of it; then it needs neither folder nor hub).
    """
    load()
    scheme = re.split("[/:]", spec, maxsplit=1)[0]
    if scheme not in _BACKBONE_SOURCES:
        raise UsageError(f"model.backbone: {spec!r} starts with no known source.{nearest(scheme, _BACKBONE_SOURCES)}")
    loader, _ = _BACKBONE_SOURCES[scheme]
    return loader(spec[len(scheme) + 1 :], **options)


def backbones(rights: Rights = LOCAL) -> list[dict[str, Any]]:
    """What one who asks can name as a backbone: rows {name, usable, about}, those usable without a network first."""
    load()
    rows = [row for _, listing in _BACKBONE_SOURCES.values() for row in listing(rights)]
    return sorted(rows, key=lambda row: (not row["usable"], row["name"]))


def load() -> None:
    """Imports every module of the places once, so that each method has registered itself."""
    global _loaded
    if _loaded:
        return
    for place in PLACES:
        package = importlib.import_module(place)
        for module in pkgutil.walk_packages(package.__path__, prefix=f"{place}."):
            importlib.import_module(module.name)
    _loaded = True


def methods(task: str | None = None) -> list[type[Method]]:
    """All methods, or those of one task, by id."""
    load()
    chosen = [cls for cls in _METHODS.values() if task in (None, cls.task)]
    return sorted(chosen, key=lambda cls: cls.id)


def get(method_id: str) -> type[Method]:
    """The method of this id. Raises UsageError naming the nearest known id."""
    load()
    if method_id not in _METHODS:
        raise UsageError(f"method: there is no method {method_id!r}.{nearest(method_id, _METHODS)}")
    return _METHODS[method_id]


def describe(cls: type[Method]) -> dict[str, Any]:
    """A method as plain data: what `launch.py methods --json`, the page and the docs show."""
    return {
        "id": cls.id,
        "task": cls.task,
        "title": cls.title,
        "paper": cls.paper,
        "formula": vars(cls).get("formula", ""),  # one that is inherited may not be its own
        "face": cls.face,
        "transductive": bool(getattr(cls, "transductive", False)),
        "about": (cls.__doc__ or "").strip(),
        "params": [describe_field(name, field) for name, field in cls.Params.model_fields.items()],
    }


def describe_field(name: str, field: Any) -> dict[str, Any]:
    """A field of a recipe or of Params as plain data: name, type, default, range, choices, help."""
    limits = {
        key: getattr(item, key)
        for item in field.metadata
        for key in ("ge", "gt", "le", "lt")
        if getattr(item, key, None) is not None
    }
    annotation = field.annotation
    choices = list(getattr(annotation, "__args__", ())) if "Literal" in str(annotation) else None
    kind = getattr(annotation, "__name__", str(annotation)) if not choices else "choice"
    return {
        "name": name,
        "type": kind if "|" not in str(annotation) else str(annotation),
        "default": field.default,
        "range": limits,
        "choices": choices,
        "help": field.description or "",
    }
