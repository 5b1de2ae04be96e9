"""A checkpoint that watches a film: an answer a frame, and the film again with the answers drawn."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

from PIL import Image

from studio.core.answers import Told
from studio.data.files.video import Frame, Writer, frame_rate, frames
from studio.runs.predict import Model, Prediction

BATCH = 8  # frames looked at together


def predict_video(
    model: Model, path: str | Path, out: str | Path | None = None, every: int = 1,
    on_frame: Callable[[int], None] | None = None, on_note: Callable[[str], None] = lambda note: None,
    topk: int = 5, side_by_side: bool = False,
) -> list[Prediction]:  # fmt: skip
    """The answer for each `every`-th frame in words, with its number (from 0) and time; no frame is kept in memory.

    `out` names an MP4 to write, with the answer drawn on each of these frames and the film's own sound; what can't be
    kept of that is told to `on_note`. `topk` classes are named of each. Raises DataError for a file that is no video,
    StudioError where PyAV is not installed. With `side_by_side` a frame stands left of its answer.
    """
    path, model = Path(path), Model(model.checkpoint, model.predictor.watching())
    predictions: list[Prediction] = []
    writer = Writer(Path(out), frame_rate(path) / every, sound_of=path) if out is not None else nullcontext()
    with writer as film:
        for batch in _batches(frames(path, every)):
            seen = model.look(frame.image for frame in batch)
            for frame, prediction in zip(batch, seen, strict=True):
                if film is not None:
                    drawn = prediction.answer.draw(frame.image) or frame.image
                    film.write(beside(frame.image, drawn) if side_by_side else drawn)
                told = Told(prediction.answer, topk)
                predictions.append(Prediction(str(path), told, frame=frame.number, time_s=frame.time_s))
            if on_frame is not None:
                on_frame(batch[-1].number)
    if film is not None and film.remark:
        on_note(film.remark)
    return predictions


def beside(before: Image.Image, after: Image.Image) -> Image.Image:
    """Both in one image, at the height of the first."""
    after = after.resize((round(after.width * before.height / after.height), before.height))
    both = Image.new("RGB", (before.width + after.width, before.height))
    both.paste(before, (0, 0))
    both.paste(after, (before.width, 0))
    return both


def _batches(source: Iterator[Frame]) -> Iterator[list[Frame]]:
    while batch := list(islice(source, BATCH)):
        yield batch
