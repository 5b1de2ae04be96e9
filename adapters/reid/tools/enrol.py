"""Enrol: individuals of a folder into the gallery of a checkpoint."""

from typing import Any

from pydantic import Field

from adapters.reid.data.trials import individuals
from adapters.reid.run.enrolment import embed_images_of, with_gallery
from adapters.reid.run.gallery import Gallery
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.tool import Bench, Images, Tool, ToolInputs, ToolResult
from studio.store import Store


@registry.tool
class Enrol(Tool):
    name, title = "enrol", "Enrol individuals"
    about = (
        "Takes the individuals of a folder into the gallery: a new checkpoint knows them. Animals, vehicles, parts; "
        "people only who have agreed."
    )

    class Inputs(ToolInputs):
        data: Images = Field(min_length=1, description="Whom to enrol, a folder each: reid:FOLDER")
        agreed: bool = Field(False, description="Those shown are no people, or have agreed to be recognised")
        replace: bool = Field(False, description="Leave out who is in the gallery now")

    def fits(self, manifest: Any) -> bool:
        return manifest.task == "reid"

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        if not inputs.agreed:
            raise UsageError(
                "agreed: an enrolled individual is recognised from now on. Say so where those shown are no people, or "
                "are people who know of it and have agreed; else leave them out."
            )
        predictor = bench.model(checkpoint).predictor
        embeddings, dataset, unreadable = embed_images_of(predictor, individuals(inputs.data, bench.home))
        added = Gallery.of(embeddings, dataset)
        if not len(added):
            raise UsageError(f"data: {inputs.data} says of no image whom it shows. Expected a folder each individual.")
        gallery = added if inputs.replace else predictor.gallery.joined(added)
        store = Store(bench.home)
        made = with_gallery(store, store.checkpoint(checkpoint), gallery)
        facts = {
            "checkpoint": made.id, "enrolled": len(added.names), "images": len(added), "unreadable": unreadable,
            "in_gallery": len(gallery.names),
        }  # fmt: skip
        return ToolResult(facts, ("tool.enrol.done", {"name": made.id, **facts}), checkpoint=made.id)
