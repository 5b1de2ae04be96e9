"""Where it looks: heat over an image, on what the answer of a trained classifier rests."""

from typing import Any

from PIL import Image
from pydantic import Field

from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import Learner
from studio.core.tool import Bench, Photo, Tool, ToolInputs, ToolResult
from studio.figures import overlay
from studio.runs.predict import read_for_people

LEAST_SIDE = 320  # pixels: what a small network sees is enlarged for people


@registry.tool
class WhereItLooks(Tool):
    name, title = "where-it-looks", "Where does it look?"
    about = "Lays heat over the photo: bright is what the answer rests on."

    class Inputs(ToolInputs):
        image: Photo = Field(description="Image")

    def fits(self, manifest: Any) -> bool:
        """One of a method that can tell."""
        cls = registry.get(manifest.method)
        return issubclass(cls, Learner) and cls.explain is not Learner.explain

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        model, image = bench.model(checkpoint), read_for_people(inputs.image)
        told = model.predictor.where_it_looks(image)
        if told is None:
            raise UsageError(f"{checkpoint} can't tell where it looks.")
        name, seen, heat = told
        times = max(1, LEAST_SIDE // min(seen.size))
        seen = seen.resize((times * seen.width, times * seen.height), Image.Resampling.BICUBIC)
        best = model.predict([image], topk=1)[0]
        facts = {"by": name, "label": best["label"], "score": best["score"]}
        return ToolResult(facts, ("tool.where-it-looks.said", facts), image=overlay(seen, heat))
