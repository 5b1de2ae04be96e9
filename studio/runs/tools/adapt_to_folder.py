"""Adapt to a folder: a classifier that adapts to a folder's images while it names them, beside itself as it is."""

from collections.abc import Iterator
from typing import Any, Literal

from PIL import Image
from pydantic import Field

from studio.core import registry
from studio.core.tool import Bench, Images, ToolInputs, ToolResult
from studio.data.files.images import BadImage, read_image
from studio.data.splits import images
from studio.runs.tools.adapt_to_film import AdaptToFilm


@registry.tool
class AdaptToFolder(AdaptToFilm):
    name, title = "adapt-to-folder", "Adapt to a folder"
    about = "Names a folder's images and adapts to their look, sixteen at a time; says which it would name otherwise."

    class Inputs(ToolInputs):
        data: Images = Field(min_length=1, description="Which images: images:FOLDER")
        by: Literal["tent", "bn-adapt", "eata"] = Field("tent", description="How it adapts")

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        items = images(inputs.data, bench.home).items
        read: list[Any] = []
        before = [seen.answer.records()[0] for seen in bench.model(checkpoint).look(readable(items, read))]
        adapting = bench.model(checkpoint, self.look(inputs))
        after = [seen.answer.records()[0] for seen in adapting.look(readable(items, []))]
        rows = [
            {"image": item.name, "label": now["label"], "score": now["score"], "without": plain["label"]}
            for item, now, plain in zip(read, after, before, strict=True)
        ]
        changed = sum(row["label"] != row["without"] for row in rows)
        facts = {"images": len(rows), "changed": changed, "unreadable": len(items) - len(rows)}
        return ToolResult(facts, ("tool.adapt-to-folder.changed", facts), rows)


def readable(items: list[Any], read: list[Any]) -> Iterator[Image.Image]:
    """Images one after the other, and their items into `read`; what can't be read is passed over."""
    for item in items:
        try:
            image = read_image(item.source, item.name)
        except BadImage:
            continue
        read.append(item)
        yield image
