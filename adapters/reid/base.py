"""What all trained embeddings share: the network, its classifier of the individuals it learns from, learning rates."""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from adapters.backbones.seeds import seeded
from adapters.finetune.classifier import load_into, whole_state
from adapters.finetune.full import decay_groups
from adapters.generalize.ibn import attach_ibn
from adapters.reid.network import EmbeddingNetwork
from studio.core.faces import Learner, LearnerContext
from studio.core.registry import Params
from studio.core.streams import Batch, Step
from studio.device.norms import freeze_statistics

IBN_DEPTH = 13 / 16  # of the blocks: all but the last stage of a ResNet-50, as Pan et al. 2018 have it


class EmbeddingParams(Params):
    pooling: Literal["own", "average", "gem", "max"] = Field(
        "own",
        description="of the last feature map: own is the backbone's, gem a generalized mean, its power learned",
    )
    backbone_lr: float = Field(0.1, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr")
    freeze_statistics: bool = Field(
        True,
        description="keep the pretrained batch-norm statistics, which few images spoil; off for a network that was not "
        "trained before, or for thousands of images",
    )
    ibn: bool = Field(
        False,
        description="normalise half the channels of early blocks image by image, which takes camera and light away",
    )
    side_information: bool = Field(
        False, description="tell a vision transformer which camera took the image (TransReID)"
    )


class EmbeddingLearner(Learner):
    """A network whose embeddings of one individual lie together; `objective` says what brings them there.

    `context.classes` are the individuals that are learned from, of `context.extra["cameras"]` cameras, in images of
    `context.extra["size"]` (height, width).
    """

    task = "reid"
    uses = (
        "data.train", "data.test", "data.source", "data.target", "data.aspect", "train.epochs", "train.lr",
        "train.batch_size",
    )  # fmt: skip
    Params = EmbeddingParams
    module: EmbeddingNetwork
    #: batches say which camera took an image, though the network is not told
    needs_cameras: ClassVar[bool] = False
    #: it learns from labelled individuals of data.source though it adapts to data.target
    needs_source: ClassVar[bool] = False

    def setup(self, context: LearnerContext) -> nn.Module:
        size = context.extra.get("size") or (context.image_size, context.image_size)
        cameras = context.extra.get("cameras", 0) if self.params.side_information else 0
        if self.params.ibn:
            attach_ibn(context.backbone, IBN_DEPTH, "params.ibn")
        with seeded(context.seed):
            self.module = self.network(context, size, cameras)
            if context.training:
                self.module.aids.update(self.aids(context))
        return self.module

    def network(self, context: LearnerContext, size: tuple[int, int], cameras: int) -> EmbeddingNetwork:
        """The network that is trained and kept, for images of `size` (height, width)."""
        return EmbeddingNetwork(context.backbone, self.params.pooling, size, cameras)

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        """What only training needs: a classifier of the individuals that are learned from."""
        return {"classifier": classifier(self.module.dim, len(context.classes))}

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        cameras = batch.cameras if "cameras" in batch else None
        return self.objective(*self.module(batch.images, cameras), batch.labels)

    def objective(self, features: Tensor, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Named losses of features before and embeddings behind the neck, both [B, D], of individuals [B]."""
        raise NotImplementedError

    def embed(self, images: Tensor, cameras: Tensor | None = None) -> Tensor:
        """Unit vectors [B, D] of images [B, 3, H, W]; `cameras` [B] are -1 where one is not known."""
        return self.module.embed(images, cameras)

    def features(self, images: Tensor) -> Tensor:
        return self.embed(images)

    def predict(self, images: Tensor) -> Tensor:
        return self.embed(images)

    def train_mode(self, training: bool) -> None:
        self.module.train(training)
        if training and self.params.freeze_statistics:
            freeze_statistics(self.module.backbone)

    def compile(self) -> None:
        self.module.backbone.compile()

    def state(self) -> dict[str, Tensor]:
        return whole_state(self.module)

    def load_state(self, state: dict[str, Tensor]) -> None:
        load_into(self.module, state, self.state())

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        own = [child for name, child in self.module.named_children() if name != "backbone"]
        return decay_groups([self.module.backbone], lr * self.params.backbone_lr, weight_decay) + decay_groups(
            own, lr, weight_decay
        )

    def identity_loss(self, embeddings: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """Cross-entropy of who it is. Luo et al. 2019, equations 1 and 2."""
        return cross_entropy(self.module.aids["classifier"](embeddings), labels, label_smoothing=smoothing)

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Cosines [B, C] of embeddings to the classifier's vectors."""
        weight = self.module.aids["classifier"].weight
        return normalize(embeddings.float(), dim=1) @ normalize(weight.float(), dim=1).T


def classifier(width: int, classes: int) -> nn.Linear:
    """A linear classifier without a shift, as the neck has none. Luo et al. 2019, section 3.5."""
    layer = nn.Linear(width, classes, bias=False)
    with torch.no_grad():
        nn.init.normal_(layer.weight, std=0.001)
    return layer
