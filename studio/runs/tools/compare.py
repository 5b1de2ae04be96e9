"""Compare: what two checkpoints find in one image, side by side."""

from typing import Any

from pydantic import Field

from studio.core import registry
from studio.core.tool import Bench, OtherCheckpoint, Photo, Tool, ToolInputs, ToolResult
from studio.runs.compare_two import compare_two


@registry.tool
class Compare(Tool):
    name, title = "compare", "Compare two checkpoints"
    about = "Shows what both checkpoints find in an image, and what only one of them does."

    class Inputs(ToolInputs):
        image: Photo = Field(description="Image")
        other: OtherCheckpoint = Field(description="Compare with this checkpoint")

    def fits(self, manifest: Any) -> bool:
        return registry.task_named(manifest.task).truth == "boxes"

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        both = compare_two(bench.model(checkpoint), bench.model(inputs.other), inputs.image)
        return ToolResult(both.counts, ("tool.compare.found", both.counts), image=both.drawn)
