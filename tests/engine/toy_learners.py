"""Three Learners as a reader of CONTRIBUTING would write them, and made-up domains for them."""

from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, l1_loss

from studio.core.faces import Learner, LearnerContext
from studio.core.phases import Optimizer, Phase, constant, inverse_decay
from studio.core.streams import Batch, Source, Stream, StreamBatches, Target
from studio.engine.reversal import reverse

WIDTH, CLASSES = 6, 3


class Dann(Learner):
    """Ganin et al. 2016: features that classify the source and hide the domain, by a reversed gradient."""

    streams = (Source, Target)

    def setup(self, context: LearnerContext) -> nn.Module:
        self.module = nn.ModuleDict({
            "features": nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh()),
            "head": nn.Linear(8, CLASSES),
            "domain": nn.Linear(8, 1),
        })  # fmt: skip
        return self.module

    def losses(self, batch, at):
        source, target = (self.module.features(domain.images) for domain in (batch.source, batch.target))
        said = [self.module.domain(reverse(features, at.ramp(10.0))) for features in (source, target)]
        losses = {
            "classify": cross_entropy(self.module.head(source), batch.source.labels),
            "domain": batch.source.mean(binary_cross_entropy_with_logits(said[0], torch.ones_like(said[0])))
            + batch.target.mean(binary_cross_entropy_with_logits(said[1], torch.zeros_like(said[1]))),
        }
        return losses, {"target_said_right": batch.target.mean((said[1] < 0).float()), "ramp": at.ramp(10.0)}

    def predict(self, images: Tensor) -> Tensor:
        return self.module.head(self.module.features(images))


class Mcd(Learner):
    """Saito et al. 2018: two classifiers that disagree on the target, features on which they agree."""

    streams = (Source, Target)

    def setup(self, context: LearnerContext) -> nn.Module:
        self.module = nn.ModuleDict({
            "features": nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh()),
            "one": nn.Linear(8, CLASSES),
            "two": nn.Linear(8, CLASSES),
        })  # fmt: skip
        return self.module

    def optimizers(self, lr, weight_decay):
        heads = chain(self.module.one.parameters(), self.module.two.parameters())
        return {
            "features": Optimizer([{"params": list(self.module.features.parameters()), "lr": lr}]),
            "heads": Optimizer(
                [{"params": list(heads), "lr": lr}], make=partial(torch.optim.SGD, momentum=0.9), schedule=inverse_decay
            ),
        }

    def phases(self):
        return [
            Phase("classify", self.classify, trains=("features", "heads")),
            Phase("disagree", self.disagree, trains=("heads",), clip=0.5),
            Phase("agree", self.agree, trains=("features",), times=2),
        ]

    def classify(self, batch, at):
        features = self.module.features(batch.source.images)
        return {name: cross_entropy(self.module[name](features), batch.source.labels) for name in ("one", "two")}

    def disagree(self, batch, at):
        return {"source": sum(self.classify(batch, at).values()), "target": -self.discrepancy(batch.target)}

    def agree(self, batch, at):
        return {"target": self.discrepancy(batch.target)}

    def discrepancy(self, target: Batch) -> Tensor:
        features = self.module.features(target.images)
        one, two = (self.module[name](features).softmax(dim=1) for name in ("one", "two"))
        return target.mean((one - two).abs())


class ToyCycleGan(Learner):
    """Zhu et al. 2017: two generators and two discriminators; there are no classes, and images come out."""

    streams = (Stream("photos", blind=True), Stream("paintings", blind=True))

    def setup(self, context: LearnerContext) -> nn.Module:
        def net(out: int) -> nn.Module:
            return nn.Sequential(nn.Linear(WIDTH, 12), nn.Tanh(), nn.Linear(12, out))

        self.module = nn.ModuleDict({
            "paint": net(WIDTH), "photograph": net(WIDTH), "is_photo": net(1), "is_painting": net(1)
        })  # fmt: skip
        return self.module

    def optimizers(self, lr, weight_decay):
        adam = partial(torch.optim.Adam, betas=(0.5, 0.999))
        pairs = {"generators": ("paint", "photograph"), "discriminators": ("is_photo", "is_painting")}
        return {
            name: Optimizer(
                [{"params": [p for part in parts for p in self.module[part].parameters()], "lr": lr}], adam, constant
            )
            for name, parts in pairs.items()
        }

    def phases(self):
        return [
            Phase("generate", self.generate, trains=("generators",)),
            Phase("discriminate", self.discriminate, trains=("discriminators",), every=2),
        ]

    def generate(self, batch, at):
        photos, paintings, net = batch.photos, batch.paintings, self.module
        painted, photographed = net.paint(photos.images), net.photograph(paintings.images)
        return {
            "cycle": photos.mean(l1_loss(net.photograph(painted), photos.images, reduction="none"))
            + paintings.mean(l1_loss(net.paint(photographed), paintings.images, reduction="none")),
            "fool": photos.mean((net.is_painting(painted) - 1) ** 2)
            + paintings.mean((net.is_photo(photographed) - 1) ** 2),
        }

    def discriminate(self, batch, at):
        photos, paintings, net = batch.photos, batch.paintings, self.module
        painted, photographed = net.paint(photos.images).detach(), net.photograph(paintings.images).detach()
        return {
            "photo": photos.mean((net.is_photo(photos.images) - 1) ** 2)
            + paintings.mean(net.is_photo(photographed) ** 2),
            "painting": paintings.mean((net.is_painting(paintings.images) - 1) ** 2)
            + photos.mean(net.is_painting(painted) ** 2),
        }

    def predict(self, images: Tensor) -> Tensor:
        """Paintings of photos."""
        return self.module.paint(images)


LEARNERS = {"dann": Dann, "mcd": Mcd, "cyclegan": ToyCycleGan}


class ToyBatches:
    """Two domains of different batch size, a pure function of the step: 11 and 5 rows."""

    steps_per_epoch = 10

    def __init__(self, first: str, second: str, labelled: bool) -> None:
        self.first, self.second, self.labelled = first, second, labelled

    @classmethod
    def of(cls, learner: Learner) -> "ToyBatches":
        first, second = (stream.name for stream in learner.streams)
        return cls(first, second, not learner.streams[0].blind)

    def batch(self, step: int) -> StreamBatches:
        draw = torch.Generator().manual_seed(step)
        labels = torch.randint(CLASSES, (11,), generator=draw)
        centres = torch.eye(CLASSES, WIDTH) * 3
        source = {"images": centres[labels] + 0.3 * torch.randn(11, WIDTH, generator=draw)}
        if self.labelled:
            source["labels"] = labels
        target = centres[torch.randint(CLASSES, (5,), generator=draw)] + 0.3 * torch.randn(5, WIDTH, generator=draw) + 1
        return StreamBatches(**{self.first: Batch(**source), self.second: Batch(images=target)})


def made(name: str) -> Learner:
    learner = LEARNERS[name]()
    torch.manual_seed(0)
    learner.setup(LearnerContext(None, []))
    return learner
