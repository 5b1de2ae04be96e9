"""Few-shot detection on one table: a frozen detector with a new head, all of it tuned, and the shots alone."""

from typing import Any

from pydantic import Field

from adapters.detect.base import BackboneDetector
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import Comparison, PretrainStage
from studio.core.recipe import Recipe, validate
from studio.core.registry import Params, register

NEW_HEAD, TUNED, ALONE = "new head", "all tuned", "shots alone"


class FewShotParams(Params):
    detector: str = Field("detect/faster-rcnn", description="the detector, such as detect/fcos")
    detector_params: dict[str, Any] = Field({}, description="its own parameters")
    base: str = Field(
        "", description="data with many boxes of the classes known before; empty: model.checkpoint has learned them"
    )
    base_epochs: int = Field(12, ge=1, le=100_000, description="passes over the data of the classes known before")

    def data_specs(self) -> list[str]:
        return [self.base] if self.base else []


@register("detect/few-shot")
class FewShot(Comparison):
    """Trains a detector on many boxes, once, then three times on the few of `data.train` (`data.shots` a class).

    Once its last layers alone learn, once all of it, and once a new detector learns from the shots alone; same
    images, steps and learning rate. The table gives AP of the classes known before and of the new ones (in the paper
    bAP and nAP); its first row is the detector before the shots, on the classes it knew. Wang et al. 2020, section 3.
    """

    title = "Few-shot detection"
    paper = "Wang et al. 2020, Frustratingly Simple Few-Shot Object Detection"
    task = "detect"
    Params = FewShotParams

    def learners(self) -> dict[str, Any]:
        return {NEW_HEAD: self._detector(heads_only=True), TUNED: self._detector(), ALONE: self._detector()}

    def pretrain_stage(self, recipe: Recipe) -> PretrainStage:
        if bool(self.params.base) == bool(recipe.model.checkpoint):
            raise UsageError(
                "params.base: name data with many boxes of the classes known before, or in model.checkpoint a detector "
                "that has learned them; found " + ("both." if self.params.base else "neither.")
            )
        overrides = {
            "data.train": self.params.base, "data.val": None, "data.test": None, "data.shots": None,
            "train.epochs": self.params.base_epochs,
        }  # fmt: skip
        return PretrainStage(self._detector(), overrides if self.params.base else None, (NEW_HEAD, TUNED))

    def _detector(self, **more: Any) -> BackboneDetector:
        cls = registry.get(self.params.detector)
        if not issubclass(cls, BackboneDetector) or cls.adapts():
            raise UsageError(f"params.detector: {cls.id} is no detector that learns from boxes alone; detect/fcos is.")
        return cls(validate(cls.Params, {**self.params.detector_params, **more}, "params.detector_params"))
