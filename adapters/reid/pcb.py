"""PCB: the image in stripes from top to bottom, each of which knows the individual on its own."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, normalize

from adapters.reid.base import EmbeddingLearner, EmbeddingParams, classifier
from adapters.reid.network import EmbeddingNetwork, map_shape
from adapters.reid.side import Sighted
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Batch, Step


class PartNetwork(Sighted):
    """images [B, 3, H, W] -> features of each part [B, P, d]: stripes, or what is most like them where `refined`."""

    refined: Tensor | None

    def __init__(
        self, backbone: Any, parts: int, width: int, size: tuple[int, int], cameras: int, refine: bool = False
    ) -> None:  # fmt: skip
        super().__init__(backbone, cameras)
        channels, height, _ = map_shape(backbone, size)
        if height < parts:
            raise UsageError(
                f"params.parts: the backbone's last map is {height} high, which can't be cut into {parts} stripes. "
                "Take fewer, a larger model.image_size, or a finer map, such as timm/resnet50?output_stride=16."
            )
        self.parts = parts
        self.narrow = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, width, bias=False), nn.BatchNorm1d(width), nn.ReLU())
            for _ in range(parts)
        )
        self.assign = nn.Conv2d(channels, parts, 1) if refine else None
        self.register_buffer("refined", torch.tensor(False) if refine else None)
        self.dim = parts * width

    def forward(self, images: Tensor, cameras: Tensor | None = None) -> Tensor:
        with self.told(cameras, images):
            maps = self.backbone.feature_map(images)
        stripes = self.pooled(maps) if self.refined else adaptive_avg_pool2d(maps, (self.parts, 1)).squeeze(3)
        return torch.stack([narrow(stripes[:, :, part]) for part, narrow in enumerate(self.narrow)], dim=1)

    def pooled(self, maps: Tensor) -> Tensor:
        """The mean of each part [B, C, P] of maps [B, C, h, w], where every place belongs to parts by shares.

        Sun et al. 2018, section 3.3, equation 2.
        """
        shares = self.assign(maps).softmax(dim=1).flatten(2)  # [B, P, h w]
        return maps.flatten(2) @ (shares / shares.sum(dim=2, keepdim=True)).transpose(1, 2)

    def embed(self, images: Tensor, cameras: Tensor | None = None) -> Tensor:
        return normalize(normalize(self(images, cameras).float(), dim=2).flatten(1), dim=1)


class PcbParams(EmbeddingParams):
    parts: int = Field(6, ge=1, le=32, description="stripes from top to bottom")
    width: int = Field(256, ge=8, le=4096, description="features of each stripe")
    refine: float = Field(
        0.0, ge=0, lt=1, description="share of the training, at its end, in which each place finds the part it is like"
    )


@register("reid/pcb")
class Pcb(EmbeddingLearner):
    """The last map is cut into stripes; each is pooled, narrowed and classified by itself, and all are compared.

    Sun et al. 2018, section 3.1; with `refine` the refined part pooling of 3.3: in the first half of that share only
    the assignment of places to parts learns, from parts that know stripes (their induction), then everything does.
    For what stands upright in the image.
    """

    title = "Part stripes (PCB)"
    paper = "Sun et al. 2018, Beyond Part Models: Person Retrieval with Refined Part Pooling"
    Params = PcbParams
    module: PartNetwork  # type: ignore[assignment]

    def network(self, context: LearnerContext, size: tuple[int, int], cameras: int) -> EmbeddingNetwork:
        params = self.params
        return PartNetwork(context.backbone, params.parts, params.width, size, cameras, params.refine > 0)  # type: ignore[return-value]

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        layers = [classifier(self.params.width, len(context.classes)) for _ in range(self.params.parts)]
        return {"classifiers": nn.ModuleList(layers)}

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        self._refine(at)
        features = self.module(batch.images, batch.cameras if "cameras" in batch else None)
        layers = self.module.aids["classifiers"]
        each = [cross_entropy(layer(features[:, part]), batch.labels) for part, layer in enumerate(layers)]
        return {"identity": torch.stack(each).sum()}

    def _refine(self, at: Step) -> None:
        """Which parts there are, and what learns, where the training stands."""
        share, left = self.params.refine, 1 - at.progress
        if share:
            inducing = share / 2 < left <= share
            self.module.refined.fill_(left <= share)  # type: ignore[union-attr]
            for name, parameter in self.module.named_parameters():
                parameter.requires_grad_(name.startswith("assign.") or not inducing)
