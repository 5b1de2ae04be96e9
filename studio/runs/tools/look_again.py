"""Look again: an image in other sizes, mirrored, or together with another checkpoint."""

from typing import Any, Literal

from pydantic import Field

from studio.core import registry
from studio.core.tool import Bench, OtherCheckpoint, Photo, Tool, ToolInputs, ToolResult
from studio.runs.predict import read_for_people


@registry.tool
class LookAgain(Tool):
    name, title = "look-again", "Look again"
    about = "Looks at an image in several sizes, mirrored or with a second checkpoint, and joins what is found."

    class Inputs(ToolInputs):
        image: Photo = Field(description="Image")
        mirror: bool = Field(False, description="Look at the mirrored image too")
        scales: list[float] = Field([1.0], min_length=1, max_length=8, description="Sizes, as multiples of its own")
        fusion: Literal["nms", "soft-nms", "soft-nms-linear", "voting", "nmw", "wbf"] | None = Field(
            None, description="How boxes are joined"
        )
        ensemble: OtherCheckpoint | None = Field(None, description="Join with this checkpoint")

    def fits(self, manifest: Any) -> bool:
        return {"mirror", "scales", "fusion", "ensemble"} <= set(registry.task_named(manifest.task).looks)

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        look = inputs.model_dump(exclude={"image", "ensemble"})
        if inputs.ensemble:
            look["ensemble"] = [inputs.ensemble]
        image = read_for_people(inputs.image)
        answer = next(bench.model(checkpoint, look).look([image])).answer
        return ToolResult(answer.to_dict(), answer.remark, image=answer.draw(image))
