"""A checkpoint that watches a film: a row a frame, and the film again with the boxes drawn."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from studio.data.files.video import Frame, Writer, frame_rate, frames
from studio.runs.predict import Model

BATCH = 8  # frames looked at together


def predict_video(
    model: Model, path: str | Path, out: str | Path | None = None, every: int = 1,
    on_frame: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """A row for each `every`-th frame: those of `Model.predict`, with `frame` (from 0) and `time_s`.

    `out` names an MP4 to write, with what was found drawn on each of these frames. Raises DataError for a file that
    is no video, StudioError where PyAV is not installed.
    """
    path = Path(path)
    rows: list[dict[str, Any]] = []
    writer = Writer(Path(out), frame_rate(path) / every) if out is not None else nullcontext()
    with writer as film:
        for batch in _batches(frames(path, every)):
            found = model.predict([frame.image for frame in batch])
            for frame, row in zip(batch, found, strict=True):
                if film is not None:
                    film.write(model.draw(frame.image, row))
                rows.append({**row, "image": str(path), "frame": frame.number, "time_s": frame.time_s})
            if on_frame is not None:
                on_frame(batch[-1].number)
    return rows


def _batches(source: Iterable[Frame]) -> Iterator[list[Frame]]:
    walk = iter(source)
    while batch := list(islice(walk, BATCH)):
        yield batch
