"""More dimensions than signal do no harm: features of pretrained networks have few that matter and many of noise."""

import numpy as np
import pytest

from studio.core import registry


def like_a_network(seed: int) -> tuple[np.ndarray, ...]:
    """Two domains of unit-length features whose classes lie in 9 directions, with noise that falls in 100 more."""
    rng = np.random.default_rng(seed)
    means = np.zeros((10, 160))
    means[:, :9] = rng.normal(size=(10, 9))
    spread = 0.9 / np.sqrt(np.arange(1, 161))
    labels = np.arange(200) % 10, np.arange(120) % 10
    parts = [means[y] + spread * rng.normal(size=(len(y), 160)) for y in labels]
    parts[1][:, 20:40] += 0.1
    xs, xt = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts)
    return xs, labels[0], xt, labels[1]


def accuracy(method: str, seed: int, **params: object) -> float:
    xs, ys, xt, yt = like_a_network(seed)
    cls = registry.get(f"align/{method}")
    return float((cls(cls.Params(normalize="unit", **params)).fit(xs, ys, xt).predict(xt) == yt).mean())


@pytest.mark.parametrize("method", ["tca", "jda", "bda", "tjm"])
def test_a_hundred_components_are_no_worse_than_no_alignment(method):
    plain, few, many = (
        np.mean([accuracy(name, seed, **params) for seed in range(3)])
        for name, params in (("none", {}), (method, {"dim": 20}), (method, {"dim": 100}))
    )
    assert few > plain - 0.03 and many > plain - 0.03


@pytest.mark.parametrize("dim", [20, 100])
def test_tca_is_as_good_as_skadas_on_features_like_a_networks(dim):
    skada = pytest.importorskip("skada")
    from sklearn.neighbors import KNeighborsClassifier

    ours, theirs = [], []
    for seed in range(3):
        xs, ys, xt, yt = like_a_network(seed)
        model = skada.make_da_pipeline(
            skada.TransferComponentAnalysisAdapter(kernel="rbf", n_components=dim, mu=0.1), KNeighborsClassifier(1)
        )
        domains = np.repeat([1, -2], [len(xs), len(xt)])
        model.fit(np.concatenate([xs, xt]), np.concatenate([ys, np.full(len(xt), -1)]), sample_domain=domains)
        theirs.append((model.predict(xt, sample_domain=np.full(len(xt), -2)) == yt).mean())
        ours.append(accuracy("tca", seed, dim=dim))
    assert np.mean(ours) > np.mean(theirs) - 0.03
