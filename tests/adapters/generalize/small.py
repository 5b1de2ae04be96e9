"""Learners on a network so small that its mathematics can be written out, and batches of made-up sources."""

import torch
from torch import Tensor, nn

from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step, StreamBatches

START, LATER = Step(0, 10), Step(9, 10)
WIDTH, CLASSES = 5, 3


class Smooth(nn.Module):
    """images [B, 5] -> features [B, 5], twice differentiable everywhere."""

    dim, kind, spec = WIDTH, "cnn", "made-up"

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images).tanh()


def learner_of(name: str, sources: int = 3, **params):
    """A method of generalization on Smooth, in float64, with what training needs."""
    cls = registry.get(f"generalize/{name}")
    learner = cls(cls.Params(**params))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = Smooth()
    classes = [str(label) for label in range(CLASSES)]
    learner.setup(LearnerContext(backbone, classes, extra={"sources": sources}))
    learner.module.double()
    with torch.no_grad():
        learner.module.head.weight.normal_(generator=torch.Generator().manual_seed(1))
    return learner


def batch_of(rows: int = 6, sources: int = 3) -> StreamBatches:
    draw = torch.Generator().manual_seed(2)
    batches = [
        Batch(
            images=torch.randn(rows, WIDTH, generator=draw, dtype=torch.float64) + place,
            labels=torch.randint(CLASSES, (rows,), generator=draw),
        )
        for place in range(sources)
    ]
    return StreamBatches(sources=batches)


def losses(learner, batch: StreamBatches, at: Step = LATER) -> dict[str, Tensor]:
    """What is minimised."""
    returned = learner.losses(batch, at)
    return returned[0] if isinstance(returned, tuple) else returned
