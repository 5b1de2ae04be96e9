"""The recipe: one typed model that the preset, the command line, the page and Python all fill.

Where is a recipe key defined? Here and, for data, train and eval, in the task (`studio.core.task`). The YAML preset,
`--set a.b=c`, the form in the page, the API and `studio.run(...)` are views of this model; nobody writes a field twice.
"""

import copy
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, PrivateAttr, ValidationError, create_model

from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.home import Home
from studio.core.own_data import fit_to_own_data
from studio.core.sections import DataSection, EvalSection, ModelSection, Section, TrainSection
from studio.core.texts import TEXT_BYTES, TextError, load_yaml

SHIPPED = Path(__file__).resolve().parents[2] / "presets"


class Recipe(Section):
    """What to do. Unknown keys are refused with the nearest known one."""

    name: str | None = Field(None, description="a name for the run", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    about: str | None = Field(None, description="one line: what this recipe shows")
    task: str = Field("classify", description="what is to be done; it brings its own keys of data, train and eval")
    method: str = Field("fewshot/prototypes", description="a method id, see `launch.py methods`")
    model: ModelSection = Field(default_factory=ModelSection)
    data: DataSection = Field(default_factory=DataSection)
    params: dict[str, Any] = Field(default_factory=dict, description="the method's own parameters")
    train: TrainSection = Field(default_factory=TrainSection)
    eval: EvalSection = Field(default_factory=EvalSection)
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?|xpu(:\d+)?)$", description="auto | cpu | cuda | cuda:1 | mps | xpu"
    )

    #: what was changed on the way to this recipe, for the run to say; not part of the recipe
    _notes: list[str] = PrivateAttr(default_factory=list)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def method_class(self) -> type[registry.Method]:
        return registry.get(self.method)

    def method_params(self) -> BaseModel:
        """`params` as the method's own typed model. Raises UsageError for an unknown or wrong one."""
        return validate(self.method_class().Params, self.params, where="params")


@cache
def model_for(task: str) -> type[Recipe]:
    """Recipe with the sections of a task. Raises UsageError for an unknown one."""
    brought = registry.task_named(task)
    sections = {"data": brought.Data, "train": brought.Train, "eval": brought.Eval}
    fields = {name: (section, Field(default_factory=section)) for name, section in sections.items()}
    return create_model("Recipe", __base__=Recipe, __module__=__name__, **fields)


@cache
def fields_of(task: str) -> Mapping[str, Any]:
    """Every key of a task's recipes, dotted, with its pydantic field; the method's params are not among them."""
    fields: dict[str, Any] = {}
    for name, field in model_for(task).model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            fields |= {f"{name}.{key}": below for key, below in field.annotation.model_fields.items()}
        else:
            fields[name] = field
    return types.MappingProxyType(fields)


def parse(values: dict[str, Any], notes: Sequence[str] = ()) -> Recipe:
    """A recipe from plain data, with the method and its params checked too; `notes` are what its run shall say.

    Raises UsageError naming the field, the value and what would be right.
    """
    task = _task_of(values)
    method = values.get("method", Recipe.model_fields["method"].default)
    registry.task_named(task)  # which refuses an unknown one
    if isinstance(method, str) and (cls := registry.get(method)).task != task:
        raise UsageError(f"task: {task!r} does not fit method {method!r}, which is for task {cls.task!r}.")
    recipe = validate(model_for(task), values)
    recipe._notes.extend(notes)
    recipe.method_params()
    _refuse_unread_keys(recipe)
    _check_restyle(recipe)
    registry.task_named(task).check(recipe)
    return recipe


def _check_restyle(recipe: Recipe) -> None:
    """Raises UsageError where training images are to get a look that nothing shows, or nothing is trained on them."""
    kind, like = getattr(recipe.train, "restyle", "none"), getattr(recipe.train, "restyle_like", None)
    if kind == "none":
        if like is not None:
            raise UsageError(
                f"train.restyle_like: {like} is not looked at while train.restyle is none. Expected train.restyle fda, "
                "histogram, reinhard or mean-variance beside it."
            )
        return
    method = recipe.method_class()
    if method.face not in ("Learner", "Comparison"):
        raise UsageError(
            f"train.restyle: {kind} changes images that are trained on, and {recipe.method} trains on none."
        )
    if not recipe.train.needs_references and like is not None:
        raise UsageError(f"train.restyle_like: {like} is not looked at by train.restyle {kind}, which is rendered.")
    if recipe.train.needs_references and reference_spec(recipe) is None:
        raise UsageError(
            f"train.restyle: {kind} takes the look of other images, and none are named. Expected train.restyle_like, "
            "such as folder:dusk."
        )


def reference_spec(recipe: Recipe) -> str | None:
    """The data whose look training images get, where they get one of others."""
    return recipe.train.restyle_like or getattr(recipe.data, "target", None)


def _refuse_unread_keys(recipe: Recipe) -> None:
    """Raises UsageError for a checkpoint, or a key of `train` that is changed, that the method does not look at."""
    keys = recipe.method_class().train_keys
    if recipe.model.checkpoint and not recipe.method_class().takes_checkpoint:
        raise UsageError(
            f"model.checkpoint: found {recipe.model.checkpoint!r}, and {recipe.method} goes on from none; leave it "
            f"out. To work on a checkpoint's backbone set model.backbone: store/{recipe.model.checkpoint}"
        )
    for name, value in recipe.train.model_dump(exclude_defaults=True).items():
        if keys is not None and name not in keys:
            raise UsageError(
                f"train.{name}: found {value!r}, which {recipe.method} does not look at; leave it out."
                f"{nearest(name, keys)}"
            )


def stored(values: Mapping[str, Any]) -> Recipe:
    """A recipe that a run or checkpoint keeps; keys of other tasks, which old ones hold, are left out.

    Raises UsageError where it is damaged.
    """
    model = model_for(_task_of(values))
    kept = dict(values)
    for name in ("data", "train", "eval"):
        if isinstance(section := kept.get(name), dict):
            known = model.model_fields[name].annotation.model_fields
            kept[name] = {key: value for key, value in section.items() if key in known or not _is_of_a_task(name, key)}
    return validate(model, kept)


def _task_of(values: Mapping[str, Any]) -> str:
    return str(values.get("task", Recipe.model_fields["task"].default))


def _is_of_a_task(section: str, key: str) -> bool:
    return any(f"{section}.{key}" in fields_of(task.name) for task in registry.tasks())


def load(name_or_file: str, overrides: dict[str, Any] | list[str] | None = None, home: Home | None = None) -> Recipe:
    """The recipe of a preset name or YAML file, with overrides laid over it.

    `overrides` is a mapping of dotted keys to values, or a list of `KEY=VALUE` texts.
    """
    values = read_yaml(find_preset(name_or_file, home))
    notes = override(values, overrides if isinstance(overrides, dict) else dict(map(_split_pair, overrides or [])))
    return parse(values, notes)


def override(values: dict[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Lays dotted keys over a recipe as plain data: the one way in which a preset is changed.

    With other data than a preset's built-in ones, what it states for those alone is taken out, unless it is given
    too. Returns sentences that say so.
    """
    notes = fit_to_own_data(values, given)
    for key in sorted(given, key=lambda key: key not in ("task", "method")):  # these two say what the others are
        put(values, key, given[key])
    return notes


def presets(home: Home | None = None) -> dict[str, Path]:
    """Preset files by name: the shipped ones, then the user's own."""
    folders = [SHIPPED] + ([home.presets] if home else [])
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def list_presets(home: Home | None = None) -> list[dict[str, Any]]:
    """A row for each preset: name, task, method, and in `about` one line of what it shows."""
    rows = []
    for name, path in presets(home).items():
        values = {"task": "classify", "method": None, "about": "", **read_yaml(path)}
        rows.append({"name": name, **{key: values[key] for key in ("task", "method", "about")}})
    return rows


def find_preset(name_or_file: str, home: Home | None = None) -> Path:
    known = presets(home)
    if name_or_file in known:
        return known[name_or_file]
    path = Path(name_or_file)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise UsageError(f"recipe: there is no file {name_or_file!r}.")
    raise UsageError(f"recipe: there is no preset {name_or_file!r}.{nearest(name_or_file, known)}")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, by the safe loader. Raises UsageError where it is anything else."""
    try:
        status = path.stat()
        return copy.deepcopy(_read_yaml(path, status.st_ino, status.st_mtime_ns, status.st_size))
    except (TextError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path}: this is no readable YAML file ({error}).") from error


@lru_cache(maxsize=512)
def _read_yaml(path: Path, inode: int, mtime_ns: int, size: int) -> dict[str, Any]:
    """A file is parsed once for as long as it stays as it is."""
    if size > TEXT_BYTES:
        raise TextError(f"it has {size:,} bytes, more than the {TEXT_BYTES:,} that are read")
    values = load_yaml(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected keys such as `method:` and `data:`, found {type(values).__name__}.")
    return values


def put(values: dict[str, Any], key: str, value: Any) -> None:
    """Sets a dotted key in nested plain data; a text value is read by the field's type."""
    *parents, last = key.split(".")
    if len(parents) > 4:
        raise UsageError(f"--set {key[:80]}: no key of a recipe is nested so deeply.")
    here = values
    for parent in parents:
        below = here.setdefault(parent, {})
        if not isinstance(below, dict):
            raise UsageError(f"--set {key}: {parent!r} holds a value, not keys.")
        here = below
    here[last] = read_text(field_type(key, values), value) if isinstance(value, str) else value


def field_type(key: str, values: dict[str, Any]) -> Any:
    """The annotation of a dotted key, looked up in the method's Params for `params.x`; None if unknown."""
    model: Any = model_for(_task_of(values)) if _task_of(values) in {task.name for task in registry.tasks()} else Recipe
    for part in key.split("."):
        if model == dict[str, Any]:
            model = registry.get(values.get("method", Recipe.model_fields["method"].default)).Params
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return None
        model = fields[part].annotation
    return model


def read_text(annotation: Any, text: str) -> Any:
    """`text` as YAML reads it, or as it stands where the field is a text."""
    plain = members_of(annotation)
    if str in plain and not (type(None) in plain and text in ("null", "none", "")):
        return text
    try:
        value = load_yaml(text)
    except TextError:
        return text
    return _number(value) if isinstance(value, str) else value


def validate(model: type[BaseModel], values: dict[str, Any], where: str = "") -> Any:
    """`model` from `values`; every fault in one UsageError, a line each."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_explain(model, item, where) for item in error.errors()]
        raise UsageError("\n".join(lines)) from None


def to_yaml(recipe: Recipe) -> str:
    """The recipe as a short YAML text: only what differs from the defaults."""
    values = recipe.model_dump(exclude_defaults=True)
    values = {"task": recipe.task, "method": recipe.method, **values}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _split_pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise UsageError(f"--set {text}: expected KEY=VALUE, such as train.epochs=3.")
    return key.strip(), value


def _number(text: str) -> Any:
    try:  # YAML 1.1 reads 1e-3 as a text
        return float(text)
    except ValueError:
        return text


def members_of(annotation: Any) -> set[Any]:
    """The plain types that a field takes: {int, NoneType} of `Annotated[int, ...] | None`."""
    origin = get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return set().union(*(members_of(item) for item in get_args(annotation)))
    if origin is Annotated:
        return members_of(get_args(annotation)[0])
    if origin is Literal:
        return {type(item) for item in get_args(annotation)}
    return {annotation}


def _explain(model: type[BaseModel], item: dict[str, Any], where: str) -> str:
    path = ([where] if where else []) + [
        str(part) for part in item["loc"] if not str(part).startswith(("constrained", "function"))
    ]
    key = ".".join(path)
    shown = key if len(key) <= 100 else f"{key[:100]}..."
    if item["type"] == "extra_forbidden":
        return f"{shown}: unknown key{_whose(model, key)}.{nearest(path[-1], _fields_at(model, item['loc'][:-1]))}"
    return f"{shown}: found {_brief(item['input'])}; {item['msg'][0].lower()}{item['msg'][1:]}."


def _whose(model: type[BaseModel], key: str) -> str:
    """Which tasks have a key, where it is one of another task's recipes."""
    if not issubclass(model, Recipe):
        return ""
    others = [task.name for task in registry.tasks() if key in fields_of(task.name)]
    return f" here; it is for task {' and '.join(others)}" if others else ""


def _brief(value: Any, most: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _fields_at(model: Any, loc: tuple[Any, ...]) -> list[str]:
    for part in loc:
        model = model.model_fields[part].annotation
    return list(getattr(model, "model_fields", {}))
