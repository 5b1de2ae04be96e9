"""Show classes: some of what was found drawn over an image, as strongly as wanted."""

from typing import Any

from pydantic import Field

from adapters.segment.instances.predictor import FoundThings
from adapters.segment.run.predictor import ClassMap
from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.tool import Bench, ClassNames, Photo, Tool, ToolInputs, ToolResult
from studio.figures.masks import STRENGTH


@registry.tool
class ShowClasses(Tool):
    name, title = "show-classes", "Show some classes"
    about = "Draws the classes you choose over the photo, as strongly as you like, and says how much of it each covers."

    class Inputs(ToolInputs):
        image: Photo = Field(description="Image")
        classes: ClassNames = Field([], description="Classes to show; none is all")
        strength: float = Field(STRENGTH, ge=0, le=1, description="Strength of the colours: 0 is the photo alone")

    def fits(self, manifest: Any) -> bool:
        return manifest.task == "segment"

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        seen = next(bench.model(checkpoint).look([inputs.image]))
        if seen.image is None:
            raise UsageError(seen.answer.line())
        answer: ClassMap | FoundThings = seen.answer
        for name in inputs.classes:
            if name not in answer.classes:
                raise UsageError(f"classes: {checkpoint} knows no class {name!r}.{nearest(name, answer.classes)}")
        rows = [row for row in answer.records() if row["label"] and row["label"] in (inputs.classes or answer.classes)]
        covered = round(sum(row["area_percent"] for row in rows), 2)
        drawn = answer.draw(seen.image, inputs.classes, inputs.strength)
        return ToolResult({"area_percent": covered}, ("tool.show-classes.shown", {"area": covered}), rows, drawn)
