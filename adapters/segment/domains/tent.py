"""TENT for masks: each image is made surer of as it is predicted, by scales and shifts of normalisations alone."""

from typing import Any

from pydantic import Field
from torch import Tensor, nn

from adapters.align.deep.test_time.base import LAYER_NORMS, mixed_norm
from adapters.segment.domains.base import DomainParams, DomainSegmenter
from adapters.segment.domains.entropy import entropy_map
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Target
from studio.device.norms import batch_norms


class TentParams(DomainParams):
    prior: float = Field(
        16.0, ge=0, le=1e6, description="images that the source's batch-norm statistics count as beside a batch's own"
    )
    reset: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="back to the source where predictions are spread over fewer classes than this share of what they "
        "were at first; 0: never",
    )


@register("segment/tent")
class TentMasks(DomainSegmenter):
    """Minimises the mean entropy of the pixels of each batch of target images, which are answered before they teach.

    Wang et al. 2021, equation 1; batch statistics mixed with the source's as in Schneider et al. 2020, equations 3-4.
    Long streams of night scenes end in few classes: `reset` goes back to the source then. The network is that of
    `model.checkpoint`, whatever method made it; `network` need not be named.
    """

    title = "TENT (masks)"
    paper = "Wang et al. 2021, Tent: Fully Test-Time Adaptation by Entropy Minimization"
    Params = TentParams
    streams = (Target,)
    uses = ("data.target", "data.test", "model.checkpoint", "train.lr", "train.batch_size")
    views = 1
    needs_checkpoint = True
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
        norms = [*batch_norms(self.module), *(part for part in self.module.modules() if isinstance(part, LAYER_NORMS))]
        parameters = [parameter for norm in norms for parameter in norm.parameters(recurse=False)]
        if not parameters:
            raise UsageError(f"model.checkpoint: its network has no normalisation, which {self.id} moves.")
        return parameters

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, C, h, w], twice: what stands for features, and what is answered."""
        logits = self.network.predict(images)
        return logits, logits

    def objective(self, features: Tensor, logits: Tensor) -> dict[str, Tensor]:
        return {"entropy": entropy_map(logits).mean()}

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        return [{"params": self.moving(), "lr": lr, "weight_decay": 0.0}]

    def train_mode(self, training: bool) -> None:
        """Nothing is dropped and no running statistics move; while training, batch statistics are mixed in."""
        self.module.eval()
        self._mixing = training

    def _mixed(self, norm: nn.Module, arguments: tuple[Tensor], output: Tensor) -> Tensor:
        return mixed_norm(norm, arguments[0], self.params.prior) if self._mixing else output
