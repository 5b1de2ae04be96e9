"""Bottleneck and head taught the source before the network moves: a head that knows nothing would push it about."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import DeepLearner
from studio.core.procedure import Job
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize
from studio.engine.batches import centre
from studio.engine.decoded import Decoded

BATCH = 64
RATE = 1e-3  # of AdamW


def teach_head(job: Job, learner: DeepLearner, source: Decoded, preprocess: Preprocess, epochs: int) -> None:
    """Trains bottleneck and head for `epochs` on the frozen backbone's features of the source (Kumar et al. 2022).

    Each image goes through the backbone once, so this costs a third of an epoch of the network or less.
    """
    features, labels = _features(job, learner, source, preprocess)
    draw = torch.Generator().manual_seed(job.recipe.train.seed)
    learner.train_mode(True)
    optimizer = torch.optim.AdamW([*learner.module.bottleneck.parameters(), *learner.module.head.parameters()], RATE)
    for _ in range(epochs):
        for rows in torch.randperm(len(features), generator=draw).split(BATCH):
            if len(rows) > 1:  # one image has no batch statistics
                optimizer.zero_grad()
                cross_entropy(learner.classify_features(features[rows]), labels[rows]).backward()
                optimizer.step()
    optimizer.zero_grad()
    for teacher in learner.teachers():
        teacher.module.load_state_dict(teacher.follows.state_dict())


def _features(job: Job, learner: DeepLearner, source: Decoded, preprocess: Preprocess) -> tuple[Tensor, Tensor]:
    """The backbone's features [N, D] of the source as it is, and its labels [N]."""
    learner.train_mode(False)
    size, parts = max(job.recipe.train.batch_size, BATCH), []
    with torch.no_grad():
        for start in range(0, len(source.dataset), size):
            pixels = torch.from_numpy(np.ascontiguousarray(source.pixels[start : start + size])).to(job.device)
            images = normalize(centre(pixels, preprocess.image_size), preprocess)
            parts.append(learner.module.backbone(images).float())
    return torch.cat(parts), torch.from_numpy(source.dataset.labels).to(job.device)
