"""Going on when a device's memory is full: smaller micro-batches, the same effective batch.

`MicroBatches.run` passes a batch through in slices. When memory runs out it halves the slices, doubles
their number, takes the step back and does the same batch again, so the summed gradients stay those of
the whole batch.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from studio.core.errors import StudioError
from studio.device.norms import batch_norms
from studio.device.probe import Probe

if TYPE_CHECKING:
    from torch import Tensor, nn

Result = TypeVar("Result")


class MicroBatches:
    """Runs batches in slices that fit. `size` is how many items fit (None: any batch so far).

    Keep `size` in the resume state: a resumed run then slices, and rounds, as the first one did.
    """

    def __init__(
        self,
        probe: Probe,
        device: str,
        on_change: Callable[[str], None] | None = None,
        module: "nn.Module | None" = None,
        size: int | None = None,
    ) -> None:
        """`on_change` is told each halving in a sentence; `module` is looked at for batch normalisation."""
        self.size = size
        self._probe, self._device, self._module = probe, device, module
        self._on_change = on_change or (lambda message: None)

    def run(
        self,
        batch_size: int,
        step: Callable[[slice, float], Result],
        reset: Callable[[], None] = lambda: None,
    ) -> list[Result]:
        """What `step` returned for each slice of one batch, in order.

        `step(part, weight)` does forward and backward for items `part`; `weight` is their share of the
        batch, so that summing `(weight * mean_loss).backward()` gives the gradient of the mean loss over
        the batch, the last short slice included. `reset()` takes back what a broken pass left, before the
        batch is done again: gradients and running statistics (`Rewind`), and seeds the generators again.

        What belongs to the batch (augmentation, mixup, sampling) is drawn before `run` and only sliced in
        `step`, so it never depends on memory. Two things do: dropout masks, drawn slice by slice from
        the same generator (same distribution, other draws), and what couples the items of a batch (batch
        normalisation in training, contrastive or domain losses), which sees a slice at a time.

        Raises StudioError when a single item does not fit. Other exceptions pass through.
        """
        while True:
            size = min(self.size or batch_size, batch_size)
            try:
                return [step(part, (part.stop - part.start) / batch_size) for part in slices(batch_size, size)]
            except Exception as error:
                if not self._probe.is_out_of_memory(error):
                    raise
            # outside of `except`, where the traceback no longer holds the activations
            reset()
            self._probe.empty_cache(self._device)
            self._halve(size, batch_size)

    def _halve(self, size: int, batch_size: int) -> None:
        if size == 1:
            raise StudioError(
                f"The memory of {self._device} is too small for one item at a time. Take a smaller "
                "model.image_size or model.backbone, free memory that other programs use, or set device: cpu."
            )
        self.size = size - size // 2
        count = len(slices(batch_size, self.size))
        message = f"Memory of {self._device} was full: a batch of {batch_size} now goes in {count} parts of {self.size}"
        if self._module is not None and has_batch_norm(self._module):
            self._on_change(f"{message}. Batch normalisation sees one part at a time, so results differ slightly.")
        else:
            self._on_change(f"{message}, with the same result.")


def slices(batch_size: int, size: int) -> list[slice]:
    """`range(batch_size)` in slices of `size`, the last one perhaps shorter."""
    return [slice(start, min(start + size, batch_size)) for start in range(0, batch_size, size)]


def has_batch_norm(module: "nn.Module") -> bool:
    """Whether batch statistics enter the result in the module's present mode."""
    return any(part.training for part in batch_norms(module))


class Rewind:
    """Takes a module's gradients and buffers (running statistics) back to where a batch began.

    `mark()` before each batch, `restore` as the `reset` of `MicroBatches.run`, or a part of it: random
    generators are the caller's to seed again.
    """

    def __init__(self, module: "nn.Module") -> None:
        self._module = module
        self._saved: list[Tensor] = []

    def mark(self) -> None:
        """Copies every buffer: a forward pass moves running statistics without a trace in their version counters."""
        self._saved = [buffer.detach().clone() for buffer in self._module.buffers()]

    def restore(self) -> None:
        for parameter in self._module.parameters():
            parameter.grad = None
        for buffer, saved in zip(self._module.buffers(), self._saved, strict=True):
            buffer.detach().copy_(saved)
