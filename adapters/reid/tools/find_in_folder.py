"""Find in a folder: every image of it that shows the individual of a photo."""

import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from pydantic import Field

from adapters.reid.data.trials import individuals
from adapters.reid.run.enrolment import embed_images_of, opened
from adapters.reid.run.gallery import Gallery
from studio.core import registry
from studio.core.tool import Bench, Images, Photo, Tool, ToolInputs, ToolResult
from studio.data import read_image
from studio.figures import grid_figure
from studio.figures.style import INK, RIGHT, WRONG

DRAWN = 11


@registry.tool
class FindInFolder(Tool):
    name, title = "find-in-folder", "Find the same one in a folder"
    about = "Looks through a folder for images of the individual in a photo: duplicates of it, the nearest first."

    class Inputs(ToolInputs):
        image: Photo = Field(description="A photo of it")
        data: Images = Field(min_length=1, description="Where to look: images:FOLDER")
        most: int = Field(20, ge=1, le=1000, description="Images that are listed at most")

    def fits(self, manifest: Any) -> bool:
        return manifest.task == "reid"

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        predictor, photo = bench.model(checkpoint).predictor, opened(inputs.image)
        embeddings, dataset, _ = embed_images_of(predictor, individuals(inputs.data, bench.home))
        names = [item.name for item in dataset.items]
        folder = Gallery(embeddings, np.zeros(len(names), np.int64), [""], names, [""] * len(names))
        places, squares = folder.nearest(predictor.embed([photo]), inputs.most)
        distances, scores = np.sqrt(squares[0]), predictor.calibration.sure(squares[0])
        same = predictor.calibration.is_same(distances)
        rows = [
            {
                "image": names[row], "distance": round(float(distance), 6), "score": round(float(score), 6),
                "same": bool(yes),
            }
            for row, distance, score, yes in zip(places[0], distances, scores, same, strict=True)
        ]  # fmt: skip
        count = int(same.sum())
        shown = [read_image(dataset.items[row].source, names[row]) for row in places[0][:DRAWN]]
        captions = ["the photo", *(f"{row['distance']:.2f}" for row in rows[:DRAWN])]
        frames = [INK, *(RIGHT if row["same"] else WRONG for row in rows[:DRAWN])]
        drawn = grid_figure([photo, *shown], captions, columns=4, frames=frames, tile=1.4)
        facts = {"images": len(names), "same": count}
        return ToolResult(facts, ("tool.find-in-folder.found", facts), rows, image=_picture(drawn))


def _picture(figure: Figure) -> Image.Image:
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=110, bbox_inches="tight")
    return Image.open(held).convert("RGB")
