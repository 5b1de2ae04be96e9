"""All regularizers of transfer on one table."""

from typing import Any, Literal

from pydantic import Field

from adapters.finetune.regularizers import KNOWN
from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.faces import Comparison, Learner
from studio.core.recipe import Recipe
from studio.core.registry import Params, register

NONE = "none"


class CompareParams(Params):
    method: Literal["full", "lp-ft", "lora", "bitfit", "vpt"] = Field(
        "full", description="what is trained with each regularizer"
    )
    regularizers: list[str] = Field([], description="regularizers to compare, beside none; empty takes all")
    beside_none: bool = Field(True, description="train without a regularizer too, which the others are compared with")


@register("finetune/compare")
class Compare(Comparison):
    """Trains the same network once without and once with each regularizer, each at the strength of its paper.

    Same images, same order, same crops, so that differences are paired over the scored images. The table gives
    accuracy with a 95% interval, the paired difference to no regularizer, and seconds. It leaves no checkpoint;
    run the one you choose. A regularizer that does not fit the backbone is left out with a warning, unless it
    was named.
    """

    title = "Compare regularizers"
    paper = "paired differences over common images"
    task = "classify"
    Params = CompareParams

    @property
    def skips(self) -> bool:  # type: ignore[override]
        return not self.params.regularizers

    def learners(self) -> dict[str, Learner]:
        cls = registry.get(f"finetune/{self.params.method}")
        return {name: cls(cls.Params(regularizer=name)) for name in self._chosen()}

    def parts(self, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """A part is one training."""
        names = self._chosen()
        if len(names) == 1:
            return {}
        return {name: {"params.regularizers": [name], "params.beside_none": name == NONE} for name in names}

    def _chosen(self) -> list[str]:
        names = chosen(self.params.regularizers)
        return names if self.params.beside_none or names == [NONE] else names[1:]


def chosen(names: list[str]) -> list[str]:
    """None first, then those named, or all. Raises UsageError for an unknown one."""
    for name in names:
        if name not in KNOWN and name != NONE:
            raise UsageError(f"params.regularizers: there is no regularizer {name!r}.{nearest(name, KNOWN)}")
    return list(dict.fromkeys([NONE, *(names or KNOWN)]))
