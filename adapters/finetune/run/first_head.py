"""A head taught on frozen features before the network moves: one that knows nothing would push the backbone about."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from studio.core.phases import Teacher
from studio.core.procedure import Job
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize
from studio.engine.batches import centre
from studio.engine.decoded import Decoded

HEAD_EPOCHS = 30  # where a method asks for no other number: features make them seconds
BATCH = 64
RATE = 1e-3  # of AdamW


class Headed(Protocol):
    """A learner whose `module.backbone` is followed by parts that are new."""

    module: nn.Module

    def heads(self) -> list[nn.Module]:
        """What follows the backbone."""

    def classify_features(self, features: Tensor) -> Tensor:
        """Logits [B, C] of the backbone's features [B, D]."""

    def train_mode(self, training: bool) -> None: ...

    def teachers(self) -> list[Teacher]: ...


def teach_head(job: Job, learner: Headed, source: Decoded, preprocess: Preprocess, epochs: int) -> None:
    """Trains what follows the backbone for `epochs` on its frozen features of the source (Kumar et al. 2022).

    Each image goes through the backbone once, so this costs a third of an epoch of the network or less.
    """
    features, labels = _features(job, learner, source, preprocess)
    draw = torch.Generator().manual_seed(job.recipe.train.seed)
    learner.train_mode(True)
    optimizer = torch.optim.AdamW([weight for part in learner.heads() for weight in part.parameters()], RATE)
    for _ in range(epochs):
        for rows in torch.randperm(len(features), generator=draw).split(BATCH):
            if len(rows) > 1:  # one image has no batch statistics
                optimizer.zero_grad()
                cross_entropy(learner.classify_features(features[rows]), labels[rows]).backward()
                optimizer.step()
    optimizer.zero_grad()
    for teacher in learner.teachers():
        teacher.module.load_state_dict(teacher.follows.state_dict())


def _features(job: Job, learner: Headed, source: Decoded, preprocess: Preprocess) -> tuple[Tensor, Tensor]:
    """The backbone's features [N, D] of the source as it is, and its labels [N]."""
    learner.train_mode(False)
    size, parts = max(job.recipe.train.batch_size, BATCH), []
    with torch.no_grad():
        for start in range(0, len(source.dataset), size):
            pixels = torch.from_numpy(np.ascontiguousarray(source.pixels[start : start + size])).to(job.device)
            images = normalize(centre(pixels, preprocess.image_size), preprocess)
            parts.append(learner.module.backbone(images).float())
    return torch.cat(parts), torch.from_numpy(source.dataset.labels).to(job.device)
