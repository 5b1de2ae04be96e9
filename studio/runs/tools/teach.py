"""Teach: one image of a class, known or new, without training."""

from typing import Any

from pydantic import Field

from studio.core import registry
from studio.core.tool import Bench, ClassName, Photo, Tool, ToolInputs, ToolResult


@registry.tool
class Teach(Tool):
    name, title = "teach", "Wrong? Teach it"
    about = "Makes a new checkpoint that also knows an image of a class, known or new; the old one stays."

    class Inputs(ToolInputs):
        image: Photo = Field(description="Image")
        label: ClassName = Field(min_length=1, description="What the image shows, a known class or a new one")

    def fits(self, manifest: Any) -> bool:
        return hasattr(registry.procedure_for(registry.get(manifest.method)), "teach")

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        taught = bench.teach(checkpoint, {inputs.label.strip(): [inputs.image]})
        facts = {"checkpoint": taught.id, "classes": taught.manifest.classes}
        return ToolResult(facts, ("tool.teach.taught", {"name": taught.id}), checkpoint=taught.id)
