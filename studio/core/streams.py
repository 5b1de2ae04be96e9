"""What reaches a Learner at each step: named streams of data, a batch of each, and where the training stands.

A Learner declares `streams`. With one, `losses(batch, at)` gets its batch; with several, `batch.source`,
`batch.target` and so on, each with as many rows as it likes. A stream that is `blind` never carries the
truth: its batch has no such attribute, and a source of batches that brings one is refused.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.core.errors import StudioError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TRUTH = ("labels", "soft_labels", "boxes", "masks", "identities")  # what a blind stream may not carry


@dataclass(frozen=True)
class Stream:
    """One named source of batches. `blind`: without any truth. `many`: a list of batches, one a domain."""

    name: str
    blind: bool = False
    many: bool = False


Train = Stream("train")
Source = Stream("source")
Sources = Stream("sources", many=True)
Target = Stream("target", blind=True)
Episodes = Stream("episodes")


class Batch:
    """Named tensors with the same first axis, read as attributes: `batch.images` [B, 3, H, W], `batch.labels` [B].

    `share` is the part of the stream's whole batch that these rows are: 1 unless a batch is computed in parts.
    """

    def __init__(self, **tensors: "Tensor") -> None:
        self._tensors, self.share, self._of_step = tensors, 1.0, 1.0

    def __getattr__(self, name: str) -> "Tensor":
        if name.startswith("__") or name == "_tensors":
            raise AttributeError(name)
        try:
            return self._tensors[name]
        except KeyError:
            raise AttributeError(f"This stream's batch has no {name!r}; it has {', '.join(self._tensors)}.") from None

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __len__(self) -> int:
        """Rows."""
        return len(next(iter(self._tensors.values())))

    @property
    def names(self) -> list[str]:
        """What it carries."""
        return list(self._tensors)

    def only(self, *names: str) -> "Batch":
        """The same rows with these tensors alone."""
        return self._with({name: self._tensors[name] for name in names})

    def rows(self, chosen: "slice | Tensor") -> "Batch":
        """The rows that a slice, a mask or indices choose."""
        return self._with({name: tensor[chosen] for name, tensor in self._tensors.items()})

    def replaced(self, **tensors: "Tensor") -> "Batch":
        """The same rows with some tensors changed."""
        return self._with({**self._tensors, **tensors})

    def to(self, device: "str | torch.device") -> "Batch":
        return self._with({name: tensor.to(device, non_blocking=True) for name, tensor in self._tensors.items()})

    def mean(self, values: "Tensor") -> "Tensor":
        """The mean of `values` of this stream's rows, as it counts beside those of the first stream.

        The loop weighs what `losses` returns by the rows of the first stream. A loss over another stream is exact in
        a batch that is computed in parts, or by several processes, when it is taken so: `batch.target.mean(entropies)`.
        """
        return values.mean() * (self.share / self._of_step)

    def _with(self, tensors: "dict[str, Tensor]") -> "Batch":
        other = Batch(**tensors)
        other.share, other._of_step = self.share, self._of_step
        return other


class StreamBatches:
    """A batch of each of several streams, read as attributes: `batches.source`, `batches.target`."""

    def __init__(self, **batches: "Batch | Sequence[Batch]") -> None:
        self._batches = batches

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_batches":
            raise AttributeError(name)
        try:
            return self._batches[name]
        except KeyError:
            raise AttributeError(f"There is no stream {name!r}; there are {', '.join(self._batches)}.") from None

    def items(self) -> "Iterator[tuple[str, Batch | Sequence[Batch]]]":
        return iter(self._batches.items())


Drawn = Batch | StreamBatches


def leaves(batch: Drawn) -> list[Batch]:
    """The batches of all streams, in the order in which they are declared."""
    if isinstance(batch, Batch):
        return [batch]
    return [leaf for _, given in batch.items() for leaf in ([given] if isinstance(given, Batch) else given)]


def rebuilt(batch: Drawn, new: Sequence[Batch]) -> Drawn:
    """The same streams with other leaves."""
    following = iter(new)
    if isinstance(batch, Batch):
        return next(following)
    return StreamBatches(**{
        name: next(following) if isinstance(given, Batch) else [next(following) for _ in given]
        for name, given in batch.items()
    })  # fmt: skip


def check(batch: Drawn, streams: Sequence[Stream]) -> Drawn:
    """The batch in the order of `streams`. Raises StudioError where they are others, or a blind one sees the truth."""
    if isinstance(batch, Mapping):
        raise StudioError("Batches.batch returned a dictionary; expected a Batch, or StreamBatches of several streams.")
    if len(streams) == 1 and isinstance(batch, Batch):
        _refuse_truth(streams[0], [batch])
        return batch
    names = [stream.name for stream in streams]
    given = dict(batch.items()) if isinstance(batch, StreamBatches) else {"train": batch}
    if sorted(given) != sorted(names):
        brought, asked = ", ".join(given), ", ".join(names)
        raise StudioError(f"The batches are of the streams {brought}; the learner asks for {asked}.")
    for stream in streams:
        if stream.many == isinstance(given[stream.name], Batch):
            wanted = "a list of batches, one a domain" if stream.many else "one batch"
            raise StudioError(f"Stream {stream.name}: expected {wanted}, found {type(given[stream.name]).__name__}.")
        _refuse_truth(stream, given[stream.name] if stream.many else [given[stream.name]])
    return StreamBatches(**{name: given[name] for name in names})


def _refuse_truth(stream: Stream, batches: Sequence[Batch]) -> None:
    shown = sorted({name for batch in batches for name in batch.names if name in TRUTH})
    if stream.blind and shown:
        raise StudioError(f"Stream {stream.name} is blind, but its batch has {', '.join(shown)}.")


def part(batch: Drawn, cut: slice, size: int, of: Sequence[int]) -> tuple[Drawn, float]:
    """One of the parts in which a batch is computed, and the share of the first stream's rows that it has.

    `cut` are rows of the longest stream, which goes in slices of `size`; the others go in as many parts. `of` are the
    rows of each stream's whole batch, all processes together. No part of a stream is empty: where there are fewer rows
    than parts, a row comes in several and counts as much less in each.
    """
    streams = leaves(batch)
    longest = max(map(len, streams))
    number, parts = cut.start // size, -(-longest // size)
    pieces = []
    for leaf, total in zip(streams, of, strict=True):
        rows, counted = (cut, cut.stop - cut.start) if len(leaf) == longest else _rows(len(leaf), number, parts)
        piece = leaf.rows(rows)
        piece.share = counted / total
        pieces.append(piece)
    for piece in pieces:
        piece._of_step = pieces[0].share
    return rebuilt(batch, pieces), pieces[0].share


def _rows(count: int, number: int, parts: int) -> tuple[slice, float]:
    """Part `number` of `count` rows in `parts`, and for how many rows it counts."""
    first = number * count // parts
    if count >= parts:
        last = (number + 1) * count // parts
        return slice(first, last), last - first
    times = -(-(first + 1) * parts // count) - -(-first * parts // count)  # how many parts this row comes in
    return slice(first, first + 1), 1 / times


@dataclass(frozen=True)
class Step:
    """Where a training stands: `step` of `total`, from 0 on."""

    step: int
    total: int

    @property
    def progress(self) -> float:
        """0 at the first step, towards 1 at the last."""
        return self.step / max(1, self.total)

    def ramp(self, gamma: float = 10.0) -> float:
        """A coefficient that grows from 0 to 1: 2 / (1 + exp(-gamma p)) - 1. Ganin et al. 2016, section 5.2.2."""
        return 2 / (1 + math.exp(-gamma * self.progress)) - 1

    def linear(self, until: float = 1.0) -> float:
        """A coefficient that grows evenly from 0 to 1, which it reaches after the share `until` of the training."""
        return min(1.0, self.progress / until)
