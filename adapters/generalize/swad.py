"""SWAD: the mean of the weights of every step in the valley of the validation loss."""

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.generalize.base import GeneralizeParams, Generalizer
from studio.core.registry import register
from studio.core.streams import Step


class SwadParams(GeneralizeParams):
    patience: int = Field(
        3, ge=1, le=100, description="epochs of no smaller validation loss after which a valley began"
    )
    overfit: int = Field(6, ge=1, le=100, description="epochs above the valley's loss after which it has ended")
    tolerance: float = Field(1.3, ge=1, le=10, description="height of the valley's rim, as a multiple of its mean loss")


@register("generalize/swad")
class Swad(Generalizer):
    """ERM whose weights are averaged over every step from where the validation loss bottoms out to where it rises.

    Cha et al. 2021, algorithm 1. The valley begins at the epoch whose loss no one of the next `patience` goes below,
    and ends where `overfit` epochs in a row are above `tolerance` times the mean loss at its beginning. An epoch is
    judged by the weights as they are, and the average is the result whatever the epochs' scores.
    """

    title = "SWAD"
    paper = "Cha et al. 2021, SWAD: Domain Generalization by Seeking Flat Minima"
    formula = r"\theta_{\mathrm{SWAD}} = \frac{1}{t_e - t_s + 1} \sum_{t = t_s}^{t_e} \theta_t"
    Params = SwadParams
    chooses = True

    def build(self, sources: int) -> None:
        size = sum(tensor.numel() for tensor in self._moving())
        self.module.aids["valley"] = Valley(size, self.params.patience, self.params.overfit, self.params.tolerance)

    def moved(self, at: Step) -> None:
        with torch.no_grad():
            self.module.aids["valley"].add(torch.cat([tensor.detach().flatten() for tensor in self._moving()]))

    def judged(self, values: dict[str, float]) -> None:
        self.module.aids["valley"].judge(values["loss"])

    def finish(self) -> None:
        """Puts the average into the network; without a valley, that of the last `patience` epochs."""
        mean = self.module.aids["valley"].mean()
        with torch.no_grad():
            for tensor, values in zip(moving := self._moving(), mean.split([t.numel() for t in moving]), strict=True):
                tensor.copy_(values.view_as(tensor))

    def _moving(self) -> list[Tensor]:
        """The weights that learn and the statistics that follow them."""
        parts = (self.module.backbone, self.module.head)
        weights = [p for part in parts for p in part.parameters() if p.requires_grad]
        return weights + [b for part in parts for b in part.buffers() if b.is_floating_point()]


class Valley(nn.Module):
    """Sums of weights by epoch, and which of them lie in the valley; all of it in buffers, for the resume state."""

    def __init__(self, size: int, patience: int, overfit: int, tolerance: float) -> None:
        super().__init__()
        self.patience, self.overfit, self.tolerance = patience, overfit, tolerance
        self.register_buffer("sums", torch.zeros(patience, size))  # of the last epochs before it begins, newest last
        self.register_buffer("steps", torch.zeros(patience))
        self.register_buffer("losses", torch.full((patience,), torch.inf))
        for name in ("epoch", "inside", "waiting"):  # of this epoch, in the valley, since the loss last was in it
            self.register_buffer(name, torch.zeros(size))
            self.register_buffer(f"{name}_steps", torch.zeros(()))
        self.register_buffer("rim", torch.tensor(torch.nan))  # NaN until it begins
        self.register_buffer("above", torch.zeros((), dtype=torch.int64))  # epochs in a row

    @property
    def begun(self) -> bool:
        return not bool(self.rim.isnan())

    @property
    def ended(self) -> bool:
        return int(self.above) >= self.overfit

    def add(self, weights: Tensor) -> None:
        """The weights [size] after a step."""
        self.epoch += weights
        self.epoch_steps += 1

    def judge(self, loss: float) -> None:
        """The validation loss after an epoch, which may begin the valley or end it."""
        if not self.begun:
            self._remember(loss)
            self._begin()
        elif not self.ended:
            self._go_on(loss)
        self.epoch.zero_()
        self.epoch_steps.zero_()

    def mean(self) -> Tensor:
        """The mean weights [size] of the valley as far as it is known; of the last epochs where it never began."""
        if not self.begun:
            total, steps = self.sums.sum(dim=0), self.steps.sum()
        elif self.ended:
            total, steps = self.inside, self.inside_steps
        else:
            total, steps = self.inside + self.waiting, self.inside_steps + self.waiting_steps
        return total / steps

    def _remember(self, loss: float) -> None:
        for kept, new in ((self.sums, self.epoch), (self.steps, self.epoch_steps), (self.losses, loss)):
            kept.copy_(kept.roll(-1, 0))
            kept[-1] = new

    def _begin(self) -> None:
        if bool(self.losses.isfinite().all()) and float(self.losses[0]) <= float(self.losses.min()):
            self.rim.fill_(self.tolerance * float(self.losses.mean()))
            self.inside.copy_(self.sums.sum(dim=0))
            self.inside_steps.copy_(self.steps.sum())

    def _go_on(self, loss: float) -> None:
        self.waiting += self.epoch
        self.waiting_steps += self.epoch_steps
        if loss > float(self.rim):
            self.above += 1
            return
        self.above.zero_()
        self.inside += self.waiting
        self.inside_steps += self.waiting_steps
        self.waiting.zero_()
        self.waiting_steps.zero_()
