"""A translation between two places that leaves individuals themselves: CycleGAN and a network that compares.

Deng et al. 2018, SPGAN, section 3.2. It learns from images of both places and no label.
"""

from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from adapters.translate.base import Losses
from adapters.translate.cyclegan import CycleGan, CycleGanParams
from studio.core.phases import Optimizer, Phase
from studio.core.streams import Step, StreamBatches


class SimilarityParams(CycleGanParams):
    similarity: float
    margin: float


class SimilarityGan(CycleGan):
    """CycleGAN with lambda_3 L_con, equations 3 to 5: a translated image is near the one that it was made of, and far
    from those of the place whose look it has, since nobody is in both.

    The network that compares and the generators move by the same loss in turn.
    """

    Params = SimilarityParams

    def networks(self, image_size: int) -> dict[str, nn.Module]:
        return {**super().networks(image_size), "comparer": Comparer(self.params.width)}

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        others = super().optimizers(lr, weight_decay)
        comparer = [{"params": list(self.module["comparer"].parameters()), "lr": lr}]
        return {**others, "comparer": Optimizer(comparer, others["generator"].make, others["generator"].schedule)}

    def phases(self) -> list[Phase]:
        return [*super().phases(), Phase("compare", self.compare, trains=("comparer",))]

    def beside(self, batch: StreamBatches, fake: Tensor, fake_back: Tensor) -> Losses:
        return {"similarity": self.params.similarity * self.contrast(batch, fake, fake_back)}

    def compare(self, batch: StreamBatches, at: Step) -> Losses:
        fake = self.made.take("generator", batch.source.images, at, self.predict)
        fake_back = self.made.take("generator_back", batch.target.images, at, self.predict_back)
        return {"compare": self.contrast(batch, fake, fake_back)}

    def contrast(self, batch: StreamBatches, fake: Tensor, fake_back: Tensor) -> Tensor:
        """Equation 3 of both ways: each image and its translation as one, each translation and its new place as two."""
        comparer, margin = self.module["comparer"], self.params.margin
        source, target, there, back = map(comparer, (batch.source.images, batch.target.images, fake, fake_back))
        itself = batch.source.mean(contrastive(source, there, True, margin))
        itself = itself + batch.target.mean(contrastive(target, back, True, margin))
        nobody = batch.source.mean(contrastive(there, target, False, margin))
        return itself + nobody + batch.target.mean(contrastive(back, source, False, margin))


class Comparer(nn.Module):
    """Images [B, 3, H, W] in -1..1 -> unit vectors [B, D]: four convolutions, each halved by its maximum."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths, layers = [3, *(width * 2**level for level in range(4))], list[nn.Module]()
        for inside, outside in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.LeakyReLU(0.2), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 128))

    def forward(self, images: Tensor) -> Tensor:
        return normalize(self.layers(images), dim=1)


def contrastive(first: Tensor, second: Tensor, same: bool, margin: float) -> Tensor:
    """d^2 of pairs that are the same, max(0, margin - d)^2 of others, [B]; d 0..2 between unit vectors [B, D].

    Hadsell et al. 2006, equation 4; Deng et al. 2018, equation 3. Of batches of two sizes the first rows are paired.
    """
    count = min(len(first), len(second))
    squares = (first[:count] - second[:count]).square().sum(dim=1)
    return squares if same else relu(margin - squares.clamp(min=1e-12).sqrt()).square()
