"""Several processes that share each batch: ranks of one group, started by `accelerate launch`.

Each rank computes its rows of every stream of the global batch and weighs its losses by their share, so
the sum of all ranks' gradients is that of one process with the whole batch, to rounding. Only the first
rank writes.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from studio.core.errors import UsageError
from studio.core.streams import Batch, Drawn, leaves, rebuilt
from studio.engine.process_rank import rank, world


class Ranks:
    """This process among the others. Alone, every method gives back what it got."""

    def __init__(self) -> None:
        self.rank, self.world = rank(), world()

    def share(self, batch: Drawn, device: str) -> Drawn:
        """This rank's rows of every stream of a global batch, on its device.

        Raises UsageError where a stream has fewer rows than there are ranks.
        """
        return rebuilt(batch, [self._rows(leaf).to(device) for leaf in leaves(batch)])

    def _rows(self, batch: Batch) -> Batch:
        if self.world == 1:
            return batch
        count = len(batch)
        if count < self.world:
            raise UsageError(
                f"train.processes: {self.world} processes can't share a batch of {count}. "
                "Take a larger train.batch_size or fewer processes."
            )
        longer, size = count % self.world, count // self.world
        first = self.rank * size + min(self.rank, longer)
        return batch.rows(slice(first, first + size + (self.rank < longer)))

    def sum_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Gradients become the sum of all ranks'."""
        if self.world == 1:
            return
        learned = [parameter for parameter in parameters if parameter.requires_grad]
        flat = torch.cat([
            (p.grad if p.grad is not None else torch.zeros_like(p)).reshape(-1).float() for p in learned
        ])  # fmt: skip
        dist.all_reduce(flat)
        for parameter, part in zip(learned, flat.split([p.numel() for p in learned]), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)

    def sum(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Named scalars become the sum of all ranks'."""
        if self.world == 1 or not values:
            return values
        flat = torch.stack([value.float() for value in values.values()])
        dist.all_reduce(flat)
        return dict(zip(values, flat, strict=True))

    def any(self, flag: bool) -> bool:
        """True on every rank where it is on one."""
        if self.world == 1:
            return flag
        shared = torch.tensor(float(flag), device=_device())
        dist.all_reduce(shared)
        return bool(shared > 0)

    def from_first(self, values: dict[str, float]) -> dict[str, float]:
        """The first rank's numbers, on every rank."""
        if self.world == 1:
            return values
        shared = torch.tensor(list(values.values()), dtype=torch.float64, device=_device())
        dist.broadcast(shared, 0)
        return dict(zip(values, shared.tolist(), strict=True))


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
