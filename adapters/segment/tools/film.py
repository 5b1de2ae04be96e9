"""Segment a film: every frame drawn, and how steady its classes are from one to the next."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from adapters.segment.base import Segmenter
from studio.core import registry
from studio.core.tool import Bench, Film, Tool, ToolInputs, ToolResult
from studio.data.files.video import Writer, frame_rate, frames
from studio.metrics.temporal import consistency, motion

SIDE = 320  # pixels of the long side in which motion is looked for


@registry.tool
class SegmentFilm(Tool):
    name, title = "segment-film", "Segment a film"
    about = "Draws the classes into a film and says how steady they are: mIoU of each frame with the one before, moved."

    class Inputs(ToolInputs):
        film: Film = Field(description="Film")
        every: int = Field(1, ge=1, description="Look at every so many frames")

    def fits(self, manifest: Any) -> bool:
        return issubclass(registry.get(manifest.method), Segmenter)

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        result, model = ToolResult(), bench.model(checkpoint)

        def write(path: Path) -> None:
            result.rows = segment_film(model.predictor, inputs.film, path, inputs.every)
            known = [row["consistency"] for row in result.rows if row["consistency"] is not None]
            mean = round(float(np.mean(known)), 4) if known else None
            result.facts = {"frames": len(result.rows), "temporal_consistency": mean}
            result.remark = ("tool.segment-film.seen", result.facts)

        result.write_film = write
        return result


def segment_film(predictor: Any, film: Path, out: Path, every: int = 1) -> list[dict[str, Any]]:
    """Writes the film with its classes drawn; a row a frame: its number and time, consistency with the frame before
    (None for the first), and the area of each class in percent."""
    rows: list[dict[str, Any]] = []
    before: tuple[Any, np.ndarray] | None = None
    with Writer(Path(out), frame_rate(film) / every) as writer:
        for frame in frames(film, every):
            answer, grey = predictor.answers([frame.image])[0], _grey(frame.image)
            writer.write(answer.draw(frame.image))
            steady = None if before is None else _steady(*before, answer, grey)
            row = {"frame": frame.number, "time_s": frame.time_s, "consistency": steady}
            rows.append({**row, **{name: round(answer.areas.get(name, 0.0), 2) for name in predictor.classes}})
            before = answer, grey
    return rows


def _steady(before: Any, grey_before: np.ndarray, after: Any, grey: np.ndarray) -> float | None:
    factor = after.mask.shape[1] / grey.shape[1]
    down, right = (round(shift * factor) for shift in motion(grey_before, grey))
    value = consistency(before.mask, after.mask, (down, right), len(after.classes))
    return round(value, 4) if np.isfinite(value) else None


def _grey(image: Image.Image) -> np.ndarray:
    """The frame in grey, float64 [h, w], its long side 320 pixels at most."""
    small = image.convert("L")
    small.thumbnail((SIDE, SIDE))
    return np.asarray(small, np.float64)
