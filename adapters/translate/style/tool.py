"""Restyle: a photo in the checkpoint's look or in that of any other image, as much of it as is wanted."""

from typing import Any

from pydantic import Field

from studio.core import registry
from studio.core.errors import UsageError
from studio.core.tool import Bench, OtherImage, Photo, Tool, ToolInputs, ToolResult
from studio.data.files.images import BadImage, read_image


@registry.tool
class Restyle(Tool):
    name, title = "restyle", "Give it a style"
    about = "Gives a photo the checkpoint's look, or where the method allows that of any other image."

    class Inputs(ToolInputs):
        image: Photo = Field(description="Image")
        style: OtherImage = Field(None, description="Image of another style; none is the checkpoint's own")
        strength: float = Field(1.0, ge=0, le=1, description="How much of the style")
        short_side: int = Field(384, ge=64, le=2048, description="Pixels of the short side at which it is made")

    def fits(self, manifest: Any) -> bool:
        return manifest.task == "translate"

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        predictor = bench.model(checkpoint).predictor.viewed(inputs.strength, inputs.short_side)
        if inputs.style is not None:
            predictor = predictor.with_style(read(inputs.style))
        image = predictor.answers([read(inputs.image)])[0].image
        return ToolResult({"width": image.width, "height": image.height}, image=image)


def read(image: Any) -> Any:
    """An RGB image. Raises UsageError where it can't be read."""
    if hasattr(image, "convert"):
        return image.convert("RGB")
    try:
        return read_image(image, str(image))
    except BadImage as error:
        raise UsageError(str(error)) from error
