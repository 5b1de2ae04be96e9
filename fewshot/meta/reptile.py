"""Reptile."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from fewshot.meta.base import Network, ways_of
from fewshot.meta.gradient import GradientLearner, GradientParams
from studio.core.registry import register
from studio.core.streams import Batch, Step


class ReptileParams(GradientParams):
    inner_lr: float = Field(0.05, gt=0, le=100, description="step length of the adaptation to a task")
    inner_steps: int = Field(5, ge=2, le=1000, description="steps of adaptation in training; 1 is joint training")
    test_steps: int = Field(20, ge=1, le=10_000, description="steps of adaptation on the episodes that are scored")


class Adapted(nn.Module):
    """A network with other weights."""

    def __init__(self, network: nn.Module, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.network, self.weights = network, weights

    def forward(self, images: Tensor) -> Tensor:
        buffers = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        return functional_call(self.network, {**self.weights, **buffers}, (images,))


@register("fewshot/reptile")
class Reptile(GradientLearner):
    """Moves the start towards the weights that some steps on a task lead to; no gradient of a gradient.

    Nichol, Achiam, Schulman 2018, On First-Order Meta-Learning Algorithms, algorithm 1 and 2: start minus adapted
    weights is handed to the outer optimizer as the gradient. A task's steps see its support and query images alike,
    all at once.
    """

    title = "Reptile"
    paper = "Nichol et al. 2018, On First-Order Meta-Learning Algorithms, arXiv:1803.02999"
    formula = (
        r"\theta \leftarrow \theta + \epsilon \, (\tilde\theta - "
        r"\theta), \qquad \tilde\theta = \mathrm{SGD}^k(\theta)"
    )
    Params = ReptileParams

    def wrap(self, network: nn.Module) -> nn.Module:
        return network

    @property
    def network(self) -> Network:
        return self.module

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        """Their value is the loss before the last inner step; their gradient, start minus adapted weights."""
        tasks = torch.cat([batch.support, batch.query], dim=2)
        truth = ways_of(tasks)[0]
        losses = []
        for images in tasks.flatten(1, 2):
            adapted, loss = self._descend(images, truth, self.params.inner_steps)
            pull = sum(
                (start * (start.detach() - adapted.weights[name])).sum()
                for name, start in self.module.named_parameters()
                if start.requires_grad
            )
            losses.append(loss + pull - pull.detach())
        return {"loss": torch.stack(losses).mean()}

    def adapted(self, images: Tensor, labels: Tensor, steps: int, **how: bool) -> nn.Module:
        return self._descend(images, labels, steps)[0]

    def _descend(self, images: Tensor, labels: Tensor, steps: int) -> tuple[Adapted, Tensor]:
        weights = {
            name: parameter.detach().clone().requires_grad_(parameter.requires_grad)
            for name, parameter in self.module.named_parameters()
        }
        moving = [name for name, value in weights.items() if value.requires_grad]
        for _ in range(steps):
            loss = functional.cross_entropy(Adapted(self.module, weights)(images).float(), labels)
            slopes = torch.autograd.grad(loss, [weights[name] for name in moving], allow_unused=True)
            for name, slope in zip(moving, slopes, strict=True):
                if slope is not None:
                    weights[name] = (weights[name] - self.params.inner_lr * slope).detach().requires_grad_()
        return Adapted(self.module, {name: value.detach() for name, value in weights.items()}), loss.detach()
