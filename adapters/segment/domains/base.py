"""What every method across domains shares: the network that is adapted, its losses on the source, its weights."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator
from torch import Tensor, nn

from adapters.backbones.seeds import seeded
from adapters.segment.base import Segmenter
from adapters.segment.domains.colours import Colours
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.phases import Optimizer
from studio.core.recipe import validate
from studio.core.registry import Params
from studio.core.streams import Batch, Source, Step, StreamBatches, Target

Losses = tuple[dict[str, Tensor], dict[str, Tensor]]


class DomainParams(Params):
    network: str = Field(
        "segment/light-pyramid", description="the network that is adapted, such as segment/segformer-head"
    )
    network_params: dict[str, Any] = Field({}, description="its own parameters")

    @model_validator(mode="after")
    def _network_can_be_made(self) -> "DomainParams":
        network_of(self)
        return self


def network_of(params: DomainParams) -> Segmenter:
    """The network that `params` name. Raises UsageError where it is none that can be trained and adapted."""
    cls = registry.get(params.network)
    if not issubclass(cls, Segmenter) or issubclass(cls, AroundNetwork) or cls.solved:
        raise UsageError(
            f"params.network: {cls.id} is no network that can be adapted; segment/light-pyramid is one, and "
            "segment/segformer-head."
        )
    return cls(validate(cls.Params, params.network_params, "params.network_params"))


class Adapting(nn.Module):
    """The network, and `aids` that only training needs: they are in the resume state, but in no checkpoint."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.aids = network, nn.ModuleDict()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


class AroundNetwork(Segmenter):
    """A method around a network: it builds, keeps and answers as the network does, and has losses of its own."""

    Params = DomainParams
    module: Adapting

    def __init__(self, params: Any = None) -> None:
        super().__init__(params)
        self.network = network_of(self.params)

    def setup(self, context: LearnerContext) -> nn.Module:
        self.network.setup(context)
        self.colours = Colours(context.backbone.preprocess)
        self.module = Adapting(self.network.module)
        if context.training:
            with seeded(context.seed):
                self.module.aids.update(self.aids(context))
        return self.module

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        """What only training needs, such as a discriminator or a teacher."""
        return {}

    def predict(self, images: Tensor) -> Tensor:
        return self.network.predict(images)

    @property
    def any_size(self) -> bool:
        return self.network.any_size

    @property
    def resampled(self) -> bool:
        return self.network.resampled

    def look_at(self, pixels: Tensor) -> None:
        self.network.look_at(pixels)

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        return self.network.optimizers(lr, weight_decay)

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        return self.network.param_groups(lr, weight_decay)

    def train_mode(self, training: bool) -> None:
        self.module.aids.train(training)
        self.network.train_mode(training)

    def compile(self) -> None:
        self.network.compile()

    def export_module(self) -> nn.Module:
        return self.network.export_module()

    def save_hugging_face(self, preprocess: Any, classes: list[str], folder: Path) -> None:
        self.network.save_hugging_face(preprocess, classes, folder)

    def state(self) -> dict[str, Tensor]:
        return self.network.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.network.load_state(state)

    def inherit(self, state: dict[str, Tensor]) -> None:
        self.network.inherit(state)


class DomainSegmenter(AroundNetwork):
    """A network that learns the source's masks while `adapt` brings it to the target, of which no mask ever enters.

    `losses` gets batches of both: source images [B, 3, S, S] and masks uint8 [B, S, S], target images [B, 3, S, S].
    """

    streams = (Source, Target)
    uses = ("data.source", "data.target", "data.test", "model.image_size", "train.epochs", "train.lr")
    #: images of a step, in batches, whose gradient is held at once
    views: ClassVar[int] = 2
    #: it starts from `model.checkpoint`, and no source is there
    needs_checkpoint: ClassVar[bool] = False

    def losses(self, batch: StreamBatches, at: Step) -> Losses:
        supervised = self.network.losses(self.seen(batch), at)
        adapting, logged = self.adapt(batch, at)
        return supervised | adapting, logged

    def seen(self, batch: StreamBatches) -> Batch:
        """The source's batch as the network sees it."""
        return batch.source

    def adapt(self, batch: StreamBatches, at: Step) -> Losses:
        """Named losses that bring the network to the target; beside them what is only logged."""
        raise NotImplementedError
