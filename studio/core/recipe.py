"""The recipe: one typed model that the preset, the command line, the page and Python all fill.

Where is a recipe key defined? Here. The YAML preset, `--set a.b=c`, the form in the page, the API
and `studio.run(...)` are views of this model; nobody writes a field twice.
"""

import copy
import types
import typing
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.home import Home
from studio.core.own_data import fit_to_own_data
from studio.core.texts import TEXT_BYTES, TextError, load_yaml

SHIPPED = Path(__file__).resolve().parents[2] / "presets"

Task = Literal["classify", "align", "detect", "rank"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelSection(Section):
    backbone: str = Field(
        "pip/tf_efficientnet_lite0",
        description="pip/NAME, timm/NAME[@tag], hf/ORG/NAME[@revision], file:FOLDER, store/ID, timm/NAME?random",
    )
    image_size: Annotated[int, Field(ge=8, le=2048)] | None = Field(
        None, description="side of the square input in pixels; null takes the backbone's own"
    )
    checkpoint: str | None = Field(None, description="start from this checkpoint of the store")


class DataSection(Section):
    train: str | None = Field(None, description="training data, such as folder:photos")
    val: str | None = Field(None, description="validation data; null splits some off train")
    test: str | None = Field(None, description="test data, never used to choose anything")
    source: str | None = Field(None, description="source domain (align); a comma joins several")
    target: str | None = Field(None, description="target domain (align); its labels are used for the final score only")
    shots: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="detect: learn so many boxes of each class of train, picked by train.seed, instead of all"
    )


class TrainSection(Section):
    epochs: int = Field(
        10, ge=0, le=100_000, description="passes over the training data; 0 with model.checkpoint evaluates only"
    )
    batch_size: int = Field(32, ge=1, le=65_536, description="images a step, all processes together")
    optimizer: Literal["adamw", "sgd"] = Field(
        "adamw", description="sgd (Nesterov momentum 0.9) hardly moves a start that is good already; adamw moves any"
    )
    lr: float = Field(0.001, gt=0, le=10, description="highest learning rate")
    weight_decay: float = Field(0.01, ge=0, le=10, description="weight decay; decoupled with adamw")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient; longer ones are scaled down")
    seed: int = Field(0, ge=0, description="seeds everything random in the run")
    precision: Precision = Field(
        "auto", description="auto takes bf16 where the hardware has it, else fp16 on GPUs, else fp32"
    )
    max_steps: int | None = Field(None, ge=1, description="stop after this many steps")
    workers: int = Field(2, ge=0, le=64, description="image decoding threads")
    augment: Literal["none", "crop", "flip", "trivial", "rand"] = Field(
        "flip",
        description="none | crop: random crops | flip: and mirrored | trivial, rand: and TrivialAugment, RandAugment",
    )
    crop: float = Field(0.35, gt=0, le=1, description="smallest share of an image's area that a random crop keeps")
    erasing: float = Field(0.0, ge=0, le=1, description="share of images of which a random rectangle is blanked")
    mixup: float = Field(0.0, ge=0, le=10, description="alpha of mixup; 0 is off, 0.2 is usual")
    cutmix: float = Field(0.0, ge=0, le=10, description="alpha of CutMix; 0 is off, 1 is usual")
    mosaic: float = Field(0.0, ge=0, le=1, description="detect: share of pictures that are made of four")
    copy_paste: float = Field(
        0.0, ge=0, le=1, description="detect: share of pictures into which things of another are pasted"
    )
    multi_scale: float = Field(
        0.0,
        ge=0,
        le=0.75,
        description="detect: how far a step's input size may be from model.image_size; 0.25 is usual",
    )
    balanced: bool = Field(False, description="show every class equally often, however many images it has")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the average of weights that is judged and kept; 0 is off")
    patience: int | None = Field(
        None, ge=1, description="stop after this many epochs without a better validation score"
    )
    folds: Annotated[int, Field(ge=2, le=100)] | None = Field(
        None, description="k-fold cross-validation on train, for tiny sets; the model kept is trained on all images"
    )
    micro_batch: int | None = Field(
        None, ge=1, description="images computed at once; gradients of the whole batch are accumulated over them"
    )
    compile: bool = Field(False, description="torch.compile: slow to start, sometimes faster after")
    processes: int = Field(
        1, ge=1, le=1024, description="processes that share each batch, one a GPU; on the CPU any number"
    )
    checkpoint_every_s: float = Field(
        60, ge=0, description="seconds between resume points; 0 writes one after every step"
    )


class EvalSection(Section):
    selection: Literal["source-val", "label-free", "last", "oracle"] = Field(
        "source-val", description="the rule by which a model is chosen; named beside each number"
    )
    ways: int = Field(5, ge=2, le=10_000, description="classes an episode")
    shots: int = Field(5, ge=1, le=10_000, description="support images a class")
    queries: int = Field(15, ge=1, le=10_000, description="query images a class")
    episodes: int = Field(600, ge=1, le=10_000_000, description="episodes to score")
    episodes_file: str | None = Field(None, description="a JSON file of fixed episodes")
    mirror: bool = Field(False, description="detect: look at the mirrored picture too (test-time augmentation)")
    scales: list[Annotated[float, Field(ge=0.25, le=4)]] = Field(
        [1.0], min_length=1, max_length=8, description="detect: sizes to look at, as multiples of model.image_size"
    )
    ensemble: list[str] = Field([], description="detect: more checkpoints, whose boxes are joined with this one's")
    fusion: Literal["nms", "soft-nms", "soft-nms-linear", "voting", "nmw", "wbf"] | None = Field(
        None, description="detect: how boxes are joined; null is the model's own way, and wbf for several views"
    )
    overlap: float = Field(0.55, gt=0, lt=1, description="detect: IoU above which a fusion takes two boxes for one")


class Recipe(Section):
    """What to do. Unknown keys are refused with the nearest known one."""

    name: str | None = Field(None, description="a name for the run", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    about: str | None = Field(None, description="one line: what this recipe shows")
    task: Task = Field("classify", description="classify | align | detect | rank")
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


def parse(values: dict[str, Any], notes: Sequence[str] = ()) -> Recipe:
    """A recipe from plain data, with the method and its params checked too; `notes` are what its run shall say.

    Raises UsageError naming the field, the value and what would be right.
    """
    recipe = validate(Recipe, values)
    recipe._notes.extend(notes)
    cls = recipe.method_class()
    if cls.task != recipe.task:
        raise UsageError(
            f"task: {recipe.task!r} does not fit method {recipe.method!r}, which is for task {cls.task!r}."
        )
    recipe.method_params()
    _refuse_keys_of_detect(recipe)
    return recipe


def _refuse_keys_of_detect(recipe: Recipe) -> None:
    """Raises UsageError where another task is given a key whose help begins with `detect:`."""
    for name, section in (("data", recipe.data), ("train", recipe.train), ("eval", recipe.eval)):
        for key, field in type(section).model_fields.items():
            changed = getattr(section, key) != field.get_default(call_default_factory=True)
            if changed and recipe.task != "detect" and (field.description or "").startswith("detect:"):
                raise UsageError(f"{name}.{key}: this is for task detect; leave it out for task {recipe.task}.")


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
    for key, value in given.items():
        put(values, key, value)
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
        found = path.stat()
        return copy.deepcopy(_read_yaml(path, found.st_ino, found.st_mtime_ns, found.st_size))
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
    model: Any = Recipe
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
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key.{nearest(path[-1], _fields_at(model, item['loc'][:-1]))}"
    return f"{key}: found {_brief(item['input'])}; {item['msg'][0].lower()}{item['msg'][1:]}."


def _brief(value: Any, most: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _fields_at(model: Any, loc: tuple[Any, ...]) -> list[str]:
    for part in loc:
        model = model.model_fields[part].annotation
    return list(getattr(model, "model_fields", {}))
