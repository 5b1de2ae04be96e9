"""Follow: one individual through a film, found by a detector and recognised among all that it finds."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from adapters.reid.run.enrolment import opened
from adapters.reid.run.predictor import Recogniser
from studio.core import registry
from studio.core.tool import Bench, Film, OtherCheckpoint, Photo, Tool, ToolInputs, ToolResult
from studio.data.boxes import Boxes
from studio.data.files.video import Frame, Writer, frame_rate, frames
from studio.figures.boxes import draw_boxes

BATCH = 8  # frames looked at together
SMALLEST = 8  # pixels of a side that are worth looking at


@registry.tool
class Follow(Tool):
    name, title = "follow", "Follow one through a film"
    about = (
        "Draws where the individual of a photo is in a film, by a detector and this checkpoint. Not for watching "
        "people who have not agreed."
    )

    class Inputs(ToolInputs):
        image: Photo = Field(description="A photo of whom to follow")
        film: Film = Field(description="Film")
        detector: OtherCheckpoint = Field(description="Find everyone with this checkpoint of task detect")
        label: str = Field("", description="Look at what the detector gives this label alone; empty: at all of it")
        every: int = Field(5, ge=1, description="Look at every so many frames")

    def fits(self, manifest: Any) -> bool:
        return manifest.task == "reid"

    def fits_beside(self, manifest: Any) -> bool:
        return registry.task_named(manifest.task).truth == "boxes"

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        predictor, detector = bench.model(checkpoint).predictor, bench.model(inputs.detector)
        wanted = predictor.embed([opened(inputs.image)])[0]
        result = ToolResult()

        def write(path: Path) -> None:
            count = 0
            with Writer(path, frame_rate(inputs.film) / inputs.every) as film:
                for batch in _batches(frames(inputs.film, inputs.every)):
                    answers = [seen.answer.to_dict() for seen in detector.look(frame.image for frame in batch)]
                    for frame, answer in zip(batch, answers, strict=True):
                        count += 1
                        boxes = [box["box"] for box in answer["boxes"] if inputs.label in ("", box["label"])]
                        place = nearest_box(predictor, wanted, frame.image, boxes)
                        film.write(_drawn(frame.image, place))
                        result.rows += [{"frame": frame.number, "time_s": frame.time_s, **place}] if place else []
            result.facts = {"frames": count, "count": len(result.rows)}
            result.remark = ("tool.follow.seen", result.facts)

        result.write_film = write
        return result


def nearest_box(
    predictor: Recogniser, wanted: np.ndarray, image: Image.Image, boxes: list[list[float]]
) -> dict[str, float] | None:
    """The box of the one nearest to an embedding [D], in pixels, its distance and score; None where it is nobody."""
    whole = [_inside(box, image.size) for box in boxes]
    whole = [box for box in whole if min(box[2] - box[0], box[3] - box[1]) >= SMALLEST]
    if not whole:
        return None
    squares = np.square(predictor.embed([image.crop(box) for box in whole]) - wanted).sum(axis=1)
    best = int(squares.argmin())
    distance = float(squares[best]) ** 0.5
    if not predictor.calibration.is_same(np.array([distance]))[0]:
        return None
    corners = dict(zip(("x1", "y1", "x2", "y2"), map(float, whole[best]), strict=True))
    score = float(predictor.calibration.sure(squares[best : best + 1])[0])
    return {**corners, "distance": round(distance, 6), "score": round(score, 6)}


def _inside(box: list[float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(side) for side in box)
    return max(0, left), max(0, top), min(size[0], right), min(size[1], bottom)


def _drawn(image: Image.Image, place: dict[str, float] | None) -> Image.Image:
    if place is None:
        return image
    corners = [[place[side] for side in ("x1", "y1", "x2", "y2")]]
    return draw_boxes(image, Boxes.of(corners, [0]), [f"{place['distance']:.2f}"])


def _batches(source: Iterator[Frame]) -> Iterator[list[Frame]]:
    while batch := list(islice(source, BATCH)):
        yield batch
