"""Clips: three frames of a film that follow each other, cut and mirrored alike."""

import torch
from torch import Tensor

from adapters.translate.data.batches import LookBatches, chosen_window, cut, rows_of_step, to_signed
from adapters.translate.data.decoded import Looks
from adapters.translate.task import TranslateTrain
from studio.core.errors import DataError
from studio.core.streams import Batch
from studio.data.items import Dataset

LENGTH = 3


class ClipBatches(LookBatches):
    """Batches of two films, source and target: images, following and last, each float32 [B, 3, S, S] in -1..1.

    An epoch is a pass over the clips of the longer. As every batch, a function of the step.
    """

    def __init__(self, source: Looks, target: Looks, side: int, settings: TranslateTrain) -> None:
        super().__init__(source, target, side, settings)
        self.clips = {name: clips_of(look.dataset) for name, look in self.looks.items()}
        shortest, longest = sorted(map(len, self.clips.values()))
        self.batch_size = min(settings.batch_size, shortest)
        self.steps_per_epoch = max(1, longest // self.batch_size)

    def _of(self, name: str, number: int, step: int) -> Batch:
        draw = torch.Generator().manual_seed((self.settings.seed * 1_000_003 + step) * 2 + number)
        clips, frames = self.clips[name], [list[Tensor]() for _ in range(LENGTH)]
        for place in rows_of_step(len(clips), self.batch_size, step, (self.settings.seed, number)):
            images = [self.looks[name].images[row] for row in clips[place]]
            window, mirrored = chosen_window(images[0], self.side, self.settings, draw)
            for frame, image in zip(frames, images, strict=True):
                frame.append(cut(image, window, self.side, mirrored))
        images, following, last = (to_signed(torch.stack(frame)) for frame in frames)
        return Batch(images=images, following=following, last=last)


def clips_of(dataset: Dataset) -> list[list[int]]:
    """Rows of three neighbouring frames of one film. Raises DataError where there are none."""
    place = {(item.domain, item.frame): row for row, item in enumerate(dataset.items)}
    clips = []
    for film, frame in place:
        rows = [place.get((film, frame + later)) for later in range(LENGTH)] if frame is not None else [None]
        if None not in rows:
            clips.append(rows)
    if not clips:
        raise DataError(
            f"{dataset.spec} has no three frames that follow each other; expected a film: frames:FOLDER, or "
            "frames:FILM.mp4."
        )
    return clips


def films_of(dataset: Dataset) -> list[list[int]]:
    """Rows of each film's frames in order, of films with two or more; empty for what is no film."""
    films: dict[str | None, list[tuple[int, int]]] = {}
    for row, item in enumerate(dataset.items):
        if item.frame is not None:
            films.setdefault(item.domain, []).append((item.frame, row))
    ordered = [[row for _, row in sorted(frames)] for frames in films.values()]
    return [rows for rows in ordered if len(rows) > 1]
