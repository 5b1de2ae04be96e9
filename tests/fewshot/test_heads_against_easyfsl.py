"""Every head that easyfsl has a class for gives that class's answer, episode by episode, to 1e-4."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fewshot.heads.bd_cspn import BDCSPN
from fewshot.heads.laplacianshot import LaplacianShot
from fewshot.heads.matching import Matching
from fewshot.heads.prototypes import Prototypes
from fewshot.heads.pt_map import PTMAP
from fewshot.heads.simpleshot import SimpleShot
from fewshot.heads.tim import TIM
from fewshot.heads.transductive_finetuning import TransductiveFinetuning
from studio.core.faces import EpisodeHead, Episodes

methods = pytest.importorskip("easyfsl.methods")

WAYS, WIDTH, EPISODES = 5, 24, 3


def make(case: str) -> Episodes:
    """Non-negative features near random class centres, as a rectified backbone gives them."""
    generator = torch.Generator().manual_seed(sum(map(ord, case)))
    shots, queries = (1 if case == "one shot" else 4), (1 if case == "one query a class" else 6)

    def around(centers: Tensor, count: int) -> Tensor:
        noise = torch.randn(EPISODES, WAYS, count, WIDTH, generator=generator)
        return (centers.unsqueeze(2) + 0.7 * noise).relu()

    centers = torch.randn(EPISODES, WAYS, WIDTH, generator=generator)
    support, query = around(centers, shots), around(centers, queries)
    labels = torch.arange(WAYS).view(1, -1, 1).repeat(EPISODES, 1, shots)
    mask = torch.ones(EPISODES, WAYS, queries, dtype=torch.bool)
    if case == "unequal shots":
        for way in range(1, WAYS):
            labels[:, way, -min(way, shots - 1) :] = -1
        support[labels < 0] = 1e3  # padding must not be looked at
    if case == "duplicated features":
        support[:, :, 1] = support[:, :, 0]
        query[:, 0, 1] = support[:, 1, 0]
    if case == "zero features":
        support[:, 0, 0] = 0
        query[:, 1, 0] = 0
    return Episodes(support.flatten(1, 2), labels.flatten(1), query.flatten(1, 2), mask.flatten(1), WAYS)


CASES = ["equal", "one shot", "unequal shots", "one query a class", "duplicated features", "zero features"]


def reference(classifier: Callable[[Tensor], object], episodes: Episodes) -> Tensor:
    """The peer's scores [T, Q, W], one episode at a time, without the padding."""
    scores = []
    for support, labels, query in zip(episodes.support, episodes.labels, episodes.query, strict=True):
        real = labels >= 0
        model = classifier(support[real])
        model.process_support_set(support[real], labels[real])
        scores.append(model(query))
    return torch.stack(scores)


def same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def head(cls: type[EpisodeHead], **params) -> EpisodeHead:
    return cls(cls.Params(**params))


@pytest.mark.parametrize("case", CASES)
def test_prototypes(case):
    episodes = make(case)
    theirs = reference(lambda _: methods.PrototypicalNetworks(), episodes)
    same(-(-head(Prototypes).scores(episodes)).sqrt(), theirs)  # the paper's distance is squared
    theirs = reference(lambda _: methods.SimpleShot(), episodes)
    same(head(Prototypes, metric="cosine", scale=1).scores(episodes), theirs)


@pytest.mark.parametrize("case", CASES)
def test_simpleshot(case):
    episodes = make(case)
    for transform, options in {
        "un": lambda _: {},
        "l2n": lambda _: {"feature_normalization": 2.0},
        "cl2n": lambda support: {"feature_centering": support.mean(0), "feature_normalization": 2.0},
    }.items():
        cosine = reference(lambda support, options=options: methods.SimpleShot(**options(support)), episodes)
        same(head(SimpleShot, transform=transform, metric="cosine", scale=1).scores(episodes), cosine)
        euclid = reference(lambda support, options=options: methods.PrototypicalNetworks(**options(support)), episodes)
        same(head(SimpleShot, transform=transform, scale=1).scores(episodes), -euclid.square())


@pytest.mark.parametrize("case", CASES)
def test_matching_without_context_embedding(case):
    episodes = make(case)

    class NoContext(methods.MatchingNetworks):
        def encode_support_features(self, support_features):
            return support_features

        def encode_query_features(self, query_features):
            return 7 * torch.nn.functional.normalize(query_features)  # the peer leaves queries at their length

    theirs = reference(lambda _: NoContext(feature_dimension=WIDTH), episodes)
    same(head(Matching, normalize="none", scale=7).scores(episodes).exp(), theirs.exp() - 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_bd_cspn(case):
    episodes = make(case)
    theirs = reference(lambda _: methods.BDCSPN(), episodes)  # the peer has no scale: it is 1
    same(head(BDCSPN, scale=1).scores(episodes), theirs)


@pytest.mark.parametrize("case", CASES)
def test_laplacianshot(case):
    episodes = make(case)
    if case == "duplicated features":
        pytest.skip("the peer may take a query for its own neighbour; test_heads.py has the equations")
    # the peer's `knn` counts the query itself; it looks for an early stop only after three updates
    theirs = reference(lambda _: methods.LaplacianShot(knn=3, inference_steps=3), episodes)
    ours = head(LaplacianShot, normalize="none", scale=1, neighbours=2, steps=3).scores(episodes)
    same(ours.softmax(-1), theirs)


@pytest.mark.parametrize("case", CASES)
def test_tim(case):
    episodes = make(case)
    theirs = reference(lambda _: methods.TIM(fine_tuning_steps=30, fine_tuning_lr=1e-2), episodes)
    same(head(TIM, normalize="none", steps=30, lr=1e-2).scores(episodes) / 10, theirs)


@pytest.mark.parametrize("case", CASES)
def test_transductive_finetuning(case):
    episodes = make(case)
    theirs = reference(lambda _: methods.TransductiveFinetuning(fine_tuning_lr=1e-2), episodes)
    same(head(TransductiveFinetuning, normalize="none", lr=1e-2, scale=1).scores(episodes), theirs)


@pytest.mark.parametrize("case", CASES)
def test_pt_map(case):
    episodes = make(case)

    class Scaled(methods.PTMAP):  # the peer's plans underflow on long features; both get short ones
        def compute_features(self, images):
            return super().compute_features(images) / 5

    theirs = reference(lambda _: Scaled(lambda_regularization=10), episodes)
    ours = head(PTMAP, normalize="none", sharpness=10 / 25, steps=10).scores(episodes)
    same(ours.exp(), theirs)
