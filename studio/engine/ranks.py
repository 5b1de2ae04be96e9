"""Several processes that share each batch: ranks of one group, started by `accelerate launch`.

Each rank computes its rows of the global batch; gradients are summed by the share of rows, so the step is
that of one process with the whole batch, to rounding. Only the first rank writes.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from studio.core.errors import UsageError
from studio.engine.place import rank, world


class Ranks:
    """This process among the others. Alone, every method gives back what it got."""

    def __init__(self) -> None:
        self.rank, self.world = rank(), world()

    def share(self, tensor: Tensor) -> Tensor:
        """This rank's rows of a global batch. Raises UsageError where there are fewer rows than ranks."""
        if len(tensor) < self.world:
            raise UsageError(
                f"train.processes: {self.world} processes can't share a batch of {len(tensor)}. "
                "Take a larger train.batch_size or fewer processes."
            )
        return tensor.tensor_split(self.world)[self.rank]

    def average_gradients(self, parameters: list[nn.Parameter], rows: int) -> None:
        """Gradients become those of the mean over all ranks' rows."""
        if self.world == 1:
            return
        learned = [parameter for parameter in parameters if parameter.requires_grad]
        flat = torch.cat([
            (p.grad if p.grad is not None else torch.zeros_like(p)).reshape(-1).float() for p in learned
        ])  # fmt: skip
        flat *= self._weight(rows, flat.device)
        dist.all_reduce(flat)
        for parameter, part in zip(learned, flat.split([p.numel() for p in learned]), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)

    def average(self, values: dict[str, Tensor], rows: int) -> dict[str, Tensor]:
        """Named scalars become those of the mean over all ranks' rows."""
        if self.world == 1 or not values:
            return values
        flat = torch.stack([value.float() for value in values.values()])
        flat *= self._weight(rows, flat.device)
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

    def _weight(self, rows: int, device: torch.device) -> Tensor:
        total = torch.tensor(float(rows), device=device)
        dist.all_reduce(total)
        return rows / total


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
