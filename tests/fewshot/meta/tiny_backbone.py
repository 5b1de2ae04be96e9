"""A backbone small enough to differentiate by hand, and tasks for it."""

import importlib.util

import pytest
import torch
from torch import Tensor, nn

from fewshot.meta.base import MetaLearner
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.streams import Batch
from studio.data.preprocess import Preprocess

WAYS, SHOTS, QUERIES, SIDE = 3, 2, 4, 6
needs_learn2learn = pytest.mark.skipif(importlib.util.find_spec("learn2learn") is None, reason="no learn2learn")


class TinyBackbone(nn.Module):
    def __init__(self, dim: int = 5) -> None:
        super().__init__()
        self.dim, self.preprocess, self.spec = dim, Preprocess(SIDE), "tiny"
        self.module = nn.Sequential(nn.Conv2d(1, dim, 3), nn.Tanh())

    def feature_map(self, images: Tensor) -> Tensor:
        return self.module(images.mean(1, keepdim=True))

    def embed(self, images: Tensor) -> Tensor:
        return self.feature_map(images).mean((2, 3))

    forward = embed


def learner_of(method: str, **params: object) -> MetaLearner:
    cls = registry.get(f"fewshot/{method}")
    learner = cls(cls.Params(**params))
    torch.manual_seed(0)
    learner.setup(LearnerContext(TinyBackbone(), [], seed=0, extra={"ways": WAYS}))
    learner.train_mode(True)
    return learner


def tasks(count: int = 2, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    return Batch(
        support=torch.randn(count, WAYS, SHOTS, 1, SIDE, SIDE, generator=draw),
        query=torch.randn(count, WAYS, QUERIES, 1, SIDE, SIDE, generator=draw),
    )
