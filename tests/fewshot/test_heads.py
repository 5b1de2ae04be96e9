"""Heads against their equations done slowly in float64, and what holds for all of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SlowRidge

from fewshot.heads.bd_cspn import BDCSPN
from fewshot.heads.common import EpisodeGram, GramHead
from fewshot.heads.laplacianshot import LaplacianShot
from fewshot.heads.logistic import Logistic
from fewshot.heads.matching import Matching
from fewshot.heads.prototypes import Prototypes
from fewshot.heads.pt_map import PTMAP, balanced_shares
from fewshot.heads.ridge import Ridge
from fewshot.heads.simpleshot import SimpleShot
from fewshot.heads.tim import TIM
from fewshot.heads.transductive_finetuning import TransductiveFinetuning
from studio.core.faces import EpisodeHead, Episodes

HEADS = [
    Prototypes, SimpleShot, Matching, Ridge, Logistic, BDCSPN, LaplacianShot, TIM, PTMAP, TransductiveFinetuning
]  # fmt: skip


def make(shots: int = 3, queries: int = 4, ways: int = 4, width: int = 10, count: int = 3, seed: int = 0) -> Episodes:
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(count, ways, 1, width, generator=generator).relu()
    support = (centers + 0.5 * torch.randn(count, ways, shots, width, generator=generator)).relu()
    query = (centers + 0.5 * torch.randn(count, ways, queries, width, generator=generator)).relu()
    labels = torch.arange(ways).repeat_interleave(shots).repeat(count, 1)
    mask = torch.ones(count, ways * queries, dtype=torch.bool)
    return Episodes(support.flatten(1, 2), labels, query.flatten(1, 2), mask, ways)


def padded(episodes: Episodes, value: float) -> Episodes:
    """The same episodes with two more rows of padding on either side."""
    support = torch.nn.functional.pad(episodes.support, (0, 0, 0, 2), value=value)
    query = torch.nn.functional.pad(episodes.query, (0, 0, 0, 2), value=value)
    labels = torch.nn.functional.pad(episodes.labels, (0, 2), value=-1)
    mask = torch.nn.functional.pad(episodes.query_mask, (0, 2), value=False)
    return Episodes(support, labels, query, mask, episodes.ways)


def double(episodes: Episodes) -> Episodes:
    return replace(episodes, support=episodes.support.double(), query=episodes.query.double())


@pytest.mark.parametrize("cls", HEADS)
def test_padding_never_takes_part(cls):
    episodes = double(make())
    expected = cls().scores(episodes)
    got = cls().scores(padded(episodes, value=123.0))[:, : expected.shape[1]]
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("cls", HEADS)
def test_episodes_do_not_touch_one_another(cls):
    episodes = double(make(count=4))
    alone = replace(episodes, **{n: getattr(episodes, n)[2:3] for n in ("support", "labels", "query", "query_mask")})
    torch.testing.assert_close(cls().scores(alone), cls().scores(episodes)[2:3], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cls", [cls for cls in HEADS if not cls.transductive])
def test_inductive_heads_score_image_by_image(cls):
    episodes = double(make())
    first = replace(episodes, query=episodes.query[:, :1], query_mask=episodes.query_mask[:, :1])
    torch.testing.assert_close(cls().scores(first), cls().scores(episodes)[:, :1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("cls", [cls for cls in HEADS if issubclass(cls, GramHead)])
def test_inner_products_are_all_a_gram_head_needs(cls):
    episodes = double(padded(make(), value=3.0))
    from_gram = cls().scores_from_gram(EpisodeGram.of(episodes))
    torch.testing.assert_close(from_gram, cls().scores(episodes), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("cls", HEADS)
@pytest.mark.parametrize("case", ["one shot", "one query", "all the same", "all zero"])
def test_scores_stay_finite(cls, case):
    episodes = make(shots=1 if case == "one shot" else 3)
    if case == "one query":
        episodes = replace(episodes, query=episodes.query[:, :1], query_mask=episodes.query_mask[:, :1])
    if case == "all the same":
        same = episodes.support[:, :1]
        episodes = replace(
            episodes, support=same.expand_as(episodes.support), query=same.expand_as(episodes.query).clone()
        )
    if case == "all zero":
        episodes = replace(episodes, support=episodes.support * 0, query=episodes.query * 0)
    assert cls().scores(episodes).isfinite().all()


@pytest.mark.parametrize("cls", HEADS)
def test_what_is_easy_is_right(cls):
    episodes = make(width=64, queries=6)
    truth = torch.arange(4).repeat_interleave(6).expand(3, -1)
    assert (cls().scores(episodes).argmax(-1) == truth).float().mean() > 0.9


def test_simpleshot_by_hand():
    support, labels = np.array([[1.0, 2.0], [3.0, 2.0], [0.0, 5.0]]), np.array([0, 0, 1])
    query = np.array([[2.0, 1.0]])
    center = support.mean(0)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    means = np.stack([unit(support - center)[labels == c].mean(0) for c in (0, 1)])
    expected = -((unit(query - center)[:, None] - means) ** 2).sum(-1)
    episodes = Episodes(
        torch.tensor(support)[None], torch.tensor(labels)[None], torch.tensor(query)[None], torch.ones(1, 1) > 0, 2
    )
    got = SimpleShot(SimpleShot.Params(scale=1)).scores(episodes)[0]
    np.testing.assert_allclose(got, expected, atol=1e-9)


def one_by_one(episodes: Episodes):
    for t in range(len(episodes.support)):
        real = episodes.labels[t] >= 0
        yield episodes.support[t][real].numpy(), episodes.labels[t][real].numpy(), episodes.query[t].numpy()


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def unequal(episodes: Episodes) -> Episodes:
    labels = episodes.labels.clone()
    labels[:, [1, 2, 4]] = -1
    return replace(episodes, labels=labels)


@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("episodes", [make(), make(shots=1), unequal(make())], ids=["equal", "one shot", "unequal"])
def test_ridge_is_scikit_learns(episodes, penalty):
    episodes = double(episodes)
    got = Ridge(Ridge.Params(penalty=penalty, scale=1)).scores(episodes)
    for ours, (support, labels, query) in zip(got, one_by_one(episodes), strict=True):
        slow = SlowRidge(alpha=penalty).fit(unit(support), np.eye(4)[labels])
        np.testing.assert_allclose(ours, slow.predict(unit(query)), atol=1e-6)


@pytest.mark.parametrize(
    ("c", "normalize"), [(0.01, "l2"), (1.0, "l2"), (10.0, "l2"), (100.0, "l2"), (0.1, "none"), (10.0, "none")]
)
@pytest.mark.parametrize("episodes", [make(), make(shots=1), unequal(make())], ids=["equal", "one shot", "unequal"])
def test_logistic_is_scikit_learns(episodes, c, normalize):
    got = Logistic(Logistic.Params(c=c, normalize=normalize)).scores(episodes).softmax(-1)
    for ours, (support, labels, query) in zip(got, one_by_one(double(episodes)), strict=True):
        scale = unit if normalize == "l2" else np.asarray
        slow = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(scale(support), labels)
        np.testing.assert_allclose(ours, slow.predict_proba(scale(query)), atol=1e-4)


def slow_laplacianshot(support, labels, query, neighbours, agreement, steps):
    """Liu et al. 2020, eq. 3-8, then Ziko et al. 2020, algorithm 1, in loops."""

    def cosine(a, b):
        return unit(a) @ unit(b).T

    ways = labels.max() + 1
    shifted = query + support.mean(0) - query.mean(0)
    means = np.stack([support[labels == c].mean(0) for c in range(ways)])
    guess = cosine(shifted, means).argmax(1)
    rectified = []
    for c in range(ways):
        members = np.concatenate([support[labels == c], shifted[guess == c]])
        weights = np.exp(10 * cosine(members, means[c : c + 1]))
        rectified.append((weights * members).sum(0) / weights.sum())
    costs = ((query[:, None] - np.stack(rectified)) ** 2).sum(-1)
    near = np.zeros((len(query), len(query)))
    for i in range(len(query)):
        distances = ((query - query[i]) ** 2).sum(-1)
        distances[i] = np.inf
        for j in np.argsort(distances, kind="stable")[:neighbours]:
            near[i, j] = 1
    softmax = lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)  # noqa: E731
    assigned = softmax(-costs)
    for _ in range(steps):
        assigned = softmax(-costs + agreement * near @ assigned)
    return assigned


@pytest.mark.parametrize("duplicates", [False, True])
def test_laplacianshot_follows_its_equations(duplicates):
    episodes = make()
    if duplicates:
        query = episodes.query.clone()
        query[:, 5] = query[:, 2]
        episodes = replace(episodes, query=query)
    got = LaplacianShot(LaplacianShot.Params(normalize="none")).scores(episodes).softmax(-1)
    for ours, arrays in zip(got, one_by_one(double(episodes)), strict=True):
        np.testing.assert_allclose(ours, slow_laplacianshot(*arrays, 3, 0.7, 20), atol=1e-4)


def sinkhorn(logits: np.ndarray, steps: int = 20_000) -> np.ndarray:
    plan = np.exp(logits - logits.max(1, keepdims=True))
    for _ in range(steps):
        plan *= len(plan) / plan.shape[1] / plan.sum(0)
        plan /= plan.sum(1, keepdims=True)
    return plan


@pytest.mark.parametrize("strength", [0.1, 1.0, 10.0, 30.0])
@pytest.mark.parametrize("queries", [1, 2, 7, 60])
def test_balanced_shares_are_where_sinkhorn_ends(strength, queries):
    costs = torch.rand(5, queries, 4, generator=torch.Generator().manual_seed(queries))
    plan, _ = balanced_shares(-strength * costs, torch.ones(5, queries, dtype=torch.bool))
    for ours, cost in zip(plan, costs.double().numpy(), strict=True):
        np.testing.assert_allclose(ours, sinkhorn(-strength * cost), atol=1e-4)


def test_balanced_shares_of_one_sided_costs():
    """Every query much prefers class 0: the other columns start at nothing."""
    costs = torch.rand(1, 20, 4) + torch.tensor([0.0, 40.0, 60.0, 80.0])
    plan, _ = balanced_shares(-costs, torch.ones(1, 20, dtype=torch.bool))
    torch.testing.assert_close(plan.sum(1), torch.full((1, 4), 5.0), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(plan.sum(2), torch.ones(1, 20))


def test_pt_map_follows_its_equations():
    episodes = make()
    got = PTMAP(PTMAP.Params(normalize="l2", steps=10)).scores(episodes).exp()
    for ours, (support, labels, query) in zip(got, one_by_one(double(episodes)), strict=True):
        support, query = (unit(np.sqrt(x + 1e-6)) for x in (support, query))
        means = np.stack([support[labels == c].mean(0) for c in range(4)])
        for step in range(11):
            plan = sinkhorn(-10 * ((query[:, None] - means) ** 2).sum(-1), steps=2000)
            weights = np.concatenate([np.eye(4)[labels], plan])
            if step < 10:
                means += 0.2 * (weights.T @ np.concatenate([support, query]) / weights.sum(0)[:, None] - means)
        np.testing.assert_allclose(ours, plan, atol=1e-4)


def test_balanced_heads_say_so():
    assert {cls.__name__ for cls in HEADS if cls.assumes_balanced} == {"BDCSPN", "LaplacianShot", "TIM", "PTMAP"}
    assert all(cls.transductive for cls in HEADS if cls.assumes_balanced)
    assert all(issubclass(cls, EpisodeHead) and cls.paper and cls.title for cls in HEADS)
