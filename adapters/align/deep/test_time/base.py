"""What test-time methods share: batch statistics mixed with the source's, and scales and shifts that alone may move."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.align.deep.base import DeepLearner, DeepParams, Losses
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step, Target
from studio.device.norms import batch_norms

LAYER_NORMS = (nn.LayerNorm, nn.GroupNorm)


class OnlineParams(DeepParams):
    prior: float = Field(
        0.0, ge=0, le=1e6, description="images that the source's batch-norm statistics count as beside a batch's own"
    )
    reset: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="back to the source where, by the probabilities of its own weights, the answers are wrong for more "
        "than this share of the images beyond its own errors, or for twice as many as those; 0: never",
    )


class MovingNorms:
    """Of a Learner: the scales and shifts of its normalisations move, and batch statistics are mixed with the source's.

    Every batch normalisation takes (prior * source + n * batch) / (prior + n) of the two statistics, n images in the
    batch, `prior` of the params (Schneider et al. 2020, eq. 3-4).
    """

    id: str
    params: Any
    module: nn.Module
    _mixing = False

    def setup(self, context: LearnerContext) -> nn.Module:
        module = super().setup(context)
        module.requires_grad_(False)
        for parameter in self.moving():
            parameter.requires_grad_(True)
        for norm in batch_norms(module):
            norm.register_forward_hook(self._mixed)
        return module

    def moving(self) -> list[nn.Parameter]:
        """Scales and shifts of the normalisations. Raises UsageError where the network has none."""
        norms = [*batch_norms(self.module), *(m for m in self.module.modules() if isinstance(m, LAYER_NORMS))]
        parameters = [parameter for norm in norms for parameter in norm.parameters(recurse=False)]
        if not parameters:
            raise UsageError(f"model.checkpoint: its network has no normalisation, which {self.id} moves.")
        return parameters

    def train_mode(self, training: bool) -> None:
        """Nothing is dropped and no running statistics move; while training, batch statistics are mixed in."""
        self.module.eval()
        self._mixing = training

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        return [{"params": self.moving(), "lr": lr, "weight_decay": 0.0}]

    def _mixed(self, norm: nn.Module, arguments: tuple[Tensor], output: Tensor) -> Tensor:
        return mixed_norm(norm, arguments[0], self.params.prior) if self._mixing else output


class Online(MovingNorms, DeepLearner):
    """Starts from a classifier; each batch of the target is answered, and moves it for the next.

    What `objective` returns moves scales and shifts of the normalisations.
    """

    streams = (Target,)
    uses = ("data.target", "data.test", "model.checkpoint", "train.lr", "train.batch_size")
    Params = OnlineParams
    needs_checkpoint = True
    online = True

    def objective(self, features: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """Named losses of a batch's features [B, D] and logits [B, C]; none where statistics alone adapt."""
        return {}

    def losses(self, batch: Batch, at: Step) -> Losses:
        return self.objective(*self.answer(batch.images))


def mixed_norm(norm: Any, x: Tensor, prior: float) -> Tensor:
    """Batch normalisation [B, C, ...] by the batch's statistics and the running ones, which count as `prior` images."""
    places = [axis for axis in range(x.ndim) if axis != 1]
    share = prior / (prior + len(x))
    mean, var = x.mean(places), x.var(places, unbiased=False)
    mean = share * norm.running_mean + (1 - share) * mean
    var = share * norm.running_var + (1 - share) * var
    return scaled(norm, x, mean, var)


def scaled(norm: Any, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    """x [B, C, ...] by these statistics [C], with the scale, shift and activation of a batch normalisation."""
    shape = [1, -1] + [1] * (x.ndim - 2)
    x = (x - mean.view(shape)) * torch.rsqrt(var.view(shape) + norm.eps)
    if norm.affine:
        x = x * norm.weight.view(shape) + norm.bias.view(shape)
    return norm.act(norm.drop(x)) if hasattr(norm, "act") else x  # timm's have an activation inside
