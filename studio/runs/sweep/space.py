"""Which keys of a recipe are varied, and over what: `train.lr=log:1e-4..1e-2`, `params.rank=4,8,16`."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.recipe import Recipe

FORM = "expected KEY=LOW..HIGH, KEY=log:LOW..HIGH or KEY=VALUE,VALUE,..."


@dataclass(frozen=True)
class Over:
    """The values of one key: a range, in which `log` draws ratios alike, or choices; numbers where all are."""

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def ends(self) -> tuple[Any, Any]:
        return (self.choices[0], self.choices[-1]) if self.choices else (self.low, self.high)


def read_over(text: str) -> Over:
    """Raises UsageError for what is no range and no list."""
    key, _, values = text.partition("=")
    if not key or not values:
        raise UsageError(f"--over {text}: {FORM}.")
    kind, _, rest = values.rpartition("log:")
    if ".." not in values:
        choices = tuple(value.strip() for value in values.split(","))
        if kind or rest != values or not all(choices) or len(set(choices)) < 2:
            raise UsageError(f"--over {text}: {FORM}, two different values at least.")
        with suppress(ValueError):
            choices = tuple(map(_number, choices))
        return Over(key, choices=choices)
    try:
        low, high = (_number(end) for end in rest.split(".."))
    except ValueError:
        raise UsageError(f"--over {text}: {FORM}; the ends of a range are numbers.") from None
    log = values.startswith("log:")
    if low >= high or (log and low <= 0):
        raise UsageError(f"--over {text}: LOW must be less than HIGH{', and more than 0' if log else ''}.")
    return Over(key, low, high, log)


def _number(text: str) -> float:
    return int(text) if text.strip().lstrip("-").isdigit() else float(text)


@dataclass(frozen=True)
class Space:
    """A preset or file, what is set in all its runs, and what is varied."""

    recipe: str
    sets: tuple[str, ...]
    overs: tuple[Over, ...]

    def filled(self, values: dict[str, Any], home: Home) -> Recipe:
        """The recipe of one run. Raises UsageError where the values do not fit."""
        varied = [f"{key}={value}" for key, value in values.items()]
        recipe = recipes.load(_name_or_path(self.recipe), [*self.sets, *varied], home)
        recipe.method_params()
        return recipe

    def check(self, home: Home) -> Recipe:
        """The recipe at the low ends. Raises UsageError for keys that it has not, with the nearest that it has, and for
        values out of a key's own range."""
        for values in ({over.key: choice for over in self.overs for choice in [over.ends[end]]} for end in (1, 0)):
            recipe = self.filled(values, home)
        for over in self.overs:
            for choice in over.choices[1:-1]:
                self.filled({**{other.key: other.ends[0] for other in self.overs}, over.key: choice}, home)
        return recipe

    def distributions(self) -> dict[str, Any]:
        """As Optuna takes them."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        made: dict[str, Any] = {}
        for over in self.overs:
            if over.choices:
                made[over.key] = CategoricalDistribution(over.choices)
            elif isinstance(over.low, int) and isinstance(over.high, int):
                made[over.key] = IntDistribution(over.low, over.high, log=over.log)
            else:
                made[over.key] = FloatDistribution(over.low, over.high, log=over.log)
        return made


def _name_or_path(recipe: str) -> str:
    return str(Path(recipe).resolve()) if Path(recipe).is_file() else recipe
