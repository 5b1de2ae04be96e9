"""Several detectors on one table: transformers against CNNs on the same boxes."""

from typing import Any

from pydantic import Field

from adapters.detect.base import BackboneDetector
from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.faces import Comparison, Learner
from studio.core.recipe import Recipe
from studio.core.registry import Params, register

CHOSEN = ["detect/rt-detr-v2", "detect/deformable-detr", "detect/faster-rcnn", "detect/fcos"]


class CompareDetectorsParams(Params):
    methods: list[str] = Field(CHOSEN, min_length=1, description="the detectors to compare, such as detect/fcos")


@register("detect/compare")
class CompareDetectors(Comparison):
    """Trains each detector on the same images for the same epochs, each with its own defaults.

    The table gives AP, AP50 and AP by size, images a second when looking, the most memory that training held, the
    epoch by which 90% of the best validation AP was reached, and a checkpoint of each. One that does not fit the
    backbone is left out with a warning.
    """

    title = "Compare detectors"
    paper = "the same images, epochs and backbone for each"
    task = "detect"
    Params = CompareDetectorsParams

    def learners(self) -> dict[str, Learner]:
        known = {
            cls.id: cls for cls in registry.methods("detect") if issubclass(cls, BackboneDetector) and not cls.adapts()
        }
        for name in self.params.methods:
            if name not in known:
                raise UsageError(f"params.methods: there is no detector {name!r}.{nearest(name, known)}")
        return {name: known[name]() for name in dict.fromkeys(self.params.methods)}

    def parts(self, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """A part is one training."""
        names = list(self.learners())
        return {name: {"params.methods": [name]} for name in names} if len(names) > 1 else {}
