"""What the deep methods share: kernels, covariances, the adversary, each against its formula written slowly."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from adapters.align.deep.covariance import coral, covariance
from adapters.align.deep.discriminator import Discriminator, Side, adversarial, certainty_weights, entropies
from adapters.align.deep.kernels import OCTAVES, gaussians, mean_distance, mmd, squared_distances, weighted_mmd
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, StreamBatches
from studio.device.norms import batch_norms


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def slow_kernel(x: np.ndarray) -> np.ndarray:
    distances = cdist(x, x, "sqeuclidean")
    bandwidth = distances.sum() / (len(x) * (len(x) - 1))
    return np.mean([np.exp(-distances / (factor * bandwidth)) for factor in OCTAVES], axis=0)


def slow_mmd(kernel: np.ndarray, n: int) -> float:
    m, total = len(kernel) - n, 0.0
    for i in range(len(kernel)):
        for j in range(len(kernel)):
            total += kernel[i, j] * (1 / n if i < n else -1 / m) * (1 / n if j < n else -1 / m)
    return total


def test_the_sum_of_kernels_and_mmd_are_their_formulas():
    source, target = drawn(7, 3), drawn(5, 3, seed=1) + 1
    both = torch.cat([source, target])
    np.testing.assert_allclose(squared_distances(source, target), cdist(source, target, "sqeuclidean"), atol=1e-12)
    kernel = gaussians(both)
    np.testing.assert_allclose(kernel, slow_kernel(both.numpy()), atol=1e-12)
    assert float(mmd(kernel, 7)) == pytest.approx(slow_mmd(kernel.numpy(), 7))


def test_distances_and_covariances_are_no_halves_where_the_network_is():
    x = drawn(20, 8).float() + 10
    with torch.autocast("cpu", torch.bfloat16):
        assert (x @ x.T).dtype == torch.bfloat16
        np.testing.assert_allclose(squared_distances(x, x[:5]), cdist(x, x[:5], "sqeuclidean"), atol=1e-3)
        np.testing.assert_allclose(covariance(x), np.cov(x.numpy().T), atol=1e-4)


def test_mmd_is_zero_on_equal_samples_and_grows_with_the_shift():
    x = drawn(40, 4)
    values = [float(mmd(gaussians(torch.cat([x, x + shift])), 40)) for shift in (0.0, 0.2, 0.5, 1.0, 2.0)]
    assert values[0] == pytest.approx(0, abs=1e-12) and values == sorted(values) and values[-1] > 0.1


def test_mmd_of_two_samples_of_one_distribution_is_small():
    one, other, apart = drawn(300, 3), drawn(300, 3, seed=1), drawn(300, 3, seed=2) + 1
    same, different = (float(mmd(gaussians(torch.cat([one, rest])), 300)) for rest in (other, apart))
    assert same < 0.01 < 0.1 < different


def test_weighted_mmd_with_a_linear_kernel_is_the_distance_of_weighted_means():
    source, target = drawn(6, 3), drawn(4, 3, seed=1)
    weights = [torch.softmax(drawn(len(side), 2, seed=2), dim=0) for side in (source, target)]
    both = torch.cat([source, target])
    means = [share.T @ side for share, side in zip(weights, (source, target), strict=True)]
    expected = (means[0] - means[1]).square().sum(dim=1)
    torch.testing.assert_close(weighted_mmd(both @ both.T, *weights), expected)
    torch.testing.assert_close(mmd(both @ both.T, 6), mean_distance(source, target))


def test_coral_is_its_formula():
    source, target = drawn(9, 4), 2 * drawn(6, 4, seed=1)
    np.testing.assert_allclose(covariance(source), np.cov(source.numpy(), rowvar=False), atol=1e-12)
    gap = np.cov(source.numpy(), rowvar=False) - np.cov(target.numpy(), rowvar=False)
    assert float(coral(source, target)) == pytest.approx((gap**2).sum() / (4 * 16))


def test_the_adversary_learns_the_domains_and_the_features_get_the_reversed_gradient():
    torch.manual_seed(0)
    discriminator = Discriminator(3, 8).double()
    features = [drawn(5, 3).requires_grad_(), (drawn(4, 3, seed=1) + 1).requires_grad_()]
    sides = [Side(Batch(images=side), side, torch.ones(len(side))) for side in features]
    loss, logged = adversarial(discriminator, *sides, coefficient=0.3)
    said = [torch.sigmoid(discriminator(side)) for side in features]
    expected = -(said[0].log().mean() + (1 - said[1]).log().mean()) / 2
    assert float(loss) == pytest.approx(float(expected))
    assert 0 <= float(logged["domain_accuracy"]) <= 1
    reversed_, straight = (torch.autograd.grad(one, features, retain_graph=True) for one in (loss, expected))
    for back, forth in zip(reversed_, straight, strict=True):
        torch.testing.assert_close(back, -0.3 * forth)
    step = 1e-6
    moved = features[0].detach().clone()
    moved[0, 0] += step
    around = -(torch.sigmoid(discriminator(moved)).log().mean() + (1 - said[1]).log().mean()) / 2
    assert float(reversed_[0][0, 0]) == pytest.approx(-0.3 * float(around - expected) / step, rel=1e-3)


def test_sure_images_count_more_and_the_mean_weight_is_one():
    probabilities = torch.tensor([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]], dtype=torch.float64)
    torch.testing.assert_close(entropies(probabilities), torch.tensor([0.0, np.log(3)], dtype=torch.float64))
    plain = torch.tensor([2.0, 1 + 1 / 3], dtype=torch.float64)
    torch.testing.assert_close(certainty_weights(probabilities), plain / plain.mean())


@pytest.mark.parametrize(
    ("method", "asked", "statistics"),
    [("dann", None, "own"), ("dann", "mixed", "mixed"), ("pada", None, "mixed"), ("pada", "own", "own")],
)
def test_running_statistics_follow_the_target_alone_or_both_domains_together(method, asked, statistics):
    cls = registry.get(f"align/{method}")
    learner = cls(cls.Params(bottleneck=8, statistics=asked, freeze_statistics=False))
    learner.setup(LearnerContext(registry.backbone("studio/conv4?image_size=16&width=8"), list("abc")))
    learner.train_mode(True)
    first = batch_norms(learner.module)[0]
    seen = []
    first.register_forward_hook(lambda norm, arguments, output: seen.append(arguments[0].detach()))
    source, target = (torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    batch = StreamBatches(source=Batch(images=source, labels=torch.arange(6) % 3), target=Batch(images=3 * target + 2))
    views = learner.look(batch)
    assert [view.logits.shape for view in views] == [(6, 3), (6, 3)] and len(seen) == (2 if statistics == "own" else 1)
    torch.testing.assert_close(first.running_mean, 0.1 * seen[-1].mean(dim=(0, 2, 3)))
