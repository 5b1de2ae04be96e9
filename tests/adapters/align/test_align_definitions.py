"""Methods against their definitions: slow float64 references in the form that the papers write them."""

import numpy as np
import pytest
import scipy.linalg
from sklearn.svm import SVC

from adapters.align.bda import Bda
from adapters.align.classifiers import Svm
from adapters.align.components import ComponentParams, Components
from adapters.align.coral import Coral
from adapters.align.eigen import largest_generalized, largest_over_ridge, principal_axes
from adapters.align.gfk import Gfk, flow_root
from adapters.align.jda import Jda
from adapters.align.jgsa import Jgsa
from adapters.align.kernels import Kernel
from adapters.align.mmd import class_vectors, frobenius, marginal_vector
from adapters.align.regularized import RegularizedParams, laplacian, solve
from adapters.align.sa import SubspaceAlignment
from adapters.align.tca import Tca
from adapters.align.tjm import Tjm


def domains(n: int = 30, m: int = 24, d: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ys, yt = np.arange(n) % 3, np.arange(m) % 3
    means = rng.normal(size=(3, d)) * 2
    turn = scipy.linalg.expm(0.1 * (lambda a: a - a.T)(rng.normal(size=(d, d))))
    return means[ys] + rng.normal(size=(n, d)), ys, (means[yt] + rng.normal(size=(m, d))) @ turn + 0.5


@pytest.mark.parametrize("shape", [(30, 24, 8), (10, 8, 40)], ids=["n>d", "n<d"])
@pytest.mark.parametrize("kind", ["linear", "rbf", "poly"])
def test_components_reach_the_objective_of_the_dual_problem(shape: tuple[int, int, int], kind: str) -> None:
    xs, _, xt = domains(*shape)
    x, n = np.concatenate([xs, xt]), len(xs)
    params = ComponentParams(kernel=kind, dim=3, ridge=0.7, gamma=0.05, unit=False)
    e = marginal_vector(n, len(xt))
    found, projection = Components(x, params).solve(e[:, None], np.ones(1))
    assert np.allclose(found, projection(x))
    gram = Kernel(kind, 0.05, 2)(x, x)
    centre = np.eye(len(x)) - 1 / len(x)
    gap = gram @ np.outer(e, e) @ gram + 0.7 * np.eye(len(x))
    values, vectors = scipy.linalg.eigh(gram @ centre @ gram, gap)
    best = centre @ gram @ (vectors[:, ::-1][:, :3] / np.sqrt(values[::-1][:3]))
    assert np.allclose(found.T @ centre @ found, np.diag(values[::-1][:3]), rtol=1e-6, atol=1e-6 * values[-1])
    assert np.allclose(np.abs((found * best).sum(axis=0)), np.linalg.norm(found, axis=0) * np.linalg.norm(best, axis=0))


@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly"])
@pytest.mark.parametrize("method", [Tca, Jda, Bda, Tjm])
def test_components_lie_about_their_mean_so_that_linear_classifiers_see_them(method: type, kernel: str) -> None:
    """Far from it, as all values of a wide kernel are, rows of length 1 hardly differ."""
    xs, ys, xt = domains(60, 48, 8)
    settings = {"kernel": kernel, "gamma": 0.005, "dim": 5, "ridge": 0.1, "normalize": "none", "classifier": "svm"}
    fitted = method(method.Params(**settings)).fit(xs + 3.0, ys, xt + 3.0)
    assert (fitted.predict(xt + 3.0) == np.arange(48) % 3).mean() > 0.6
    placed = fitted.projection(np.concatenate([xs, xt]) + 3.0)
    assert np.linalg.norm(placed, axis=1) == pytest.approx(np.ones(len(placed)))
    assert np.linalg.norm(placed.mean(axis=0)) < 0.5


def test_the_frobenius_norm_of_the_discrepancy_needs_no_matrix() -> None:
    _, ys, xt = domains()
    factors = np.concatenate([marginal_vector(30, 24)[:, None], class_vectors(ys, np.arange(24) % 3, 3)], axis=1)
    weights = np.array([0.3, 1.0, 2.0, 0.5])
    assert frobenius(factors, weights) == pytest.approx(np.linalg.norm((factors * weights) @ factors.T))


def test_a_class_that_the_target_lacks_has_no_term() -> None:
    assert class_vectors(np.array([0, 1, 2]), np.array([0, 0, 2]), 3).shape == (6, 2)


def test_coral_gives_the_source_the_targets_covariance() -> None:
    xs, ys, xt = domains(400, 300, 6)
    moved, _ = Coral(Coral.Params(ridge=1e-9)).align(xs, ys, xt)
    assert np.allclose(np.cov(moved, rowvar=False), np.cov(xt, rowvar=False), atol=1e-5)


def test_subspace_alignment_turns_the_sources_axes_onto_the_targets() -> None:
    xs, ys, xt = domains()
    xs, xt = xs - xs.mean(axis=0), xt - xt.mean(axis=0)
    ps = np.linalg.svd(xs, full_matrices=False)[2][:3].T
    pt = np.linalg.svd(xt, full_matrices=False)[2][:3].T
    moved, projection = SubspaceAlignment(SubspaceAlignment.Params(dim=3)).align(xs, ys, xt)
    assert np.allclose(moved @ projection(xt).T, xs @ ps @ ps.T @ pt @ (xt @ pt).T)


@pytest.mark.parametrize("method", [Coral, SubspaceAlignment, Gfk])
def test_where_a_domain_lies_as_a_whole_changes_nothing(method: type) -> None:
    """Covariances and subspaces say how a domain spreads about its mean; a mean left in is turned like a direction."""
    xs, ys, xt = domains(60, 50, 6)
    params = method.Params(normalize="none", **({} if method is Coral else {"dim": 3}))
    labels = method(params).fit(xs, ys, xt).predict(xt)
    assert (method(params).fit(xs + 40.0, ys, xt - 9.0).predict(xt - 9.0) == labels).all()


@pytest.mark.parametrize("shape", [(30, 24, 8), (10, 8, 40)], ids=["n>d", "n<d"])
def test_principal_axes_are_those_of_the_singular_value_decomposition(shape: tuple[int, int, int]) -> None:
    xs, _, _ = domains(*shape)
    axes = principal_axes(xs, 4)
    reference = np.linalg.svd(xs - xs.mean(axis=0), full_matrices=False)[2][:4].T
    assert np.allclose(axes @ axes.T, reference @ reference.T)


def test_the_flow_kernel_is_the_integral_along_the_geodesic() -> None:
    xs, _, xt = domains(40, 30, 9)
    source, target = principal_axes(xs, 3), principal_axes(xt, 3)
    root = flow_root(source, target)
    left, cosines, right = np.linalg.svd(source.T @ target)
    theta = np.arccos(np.clip(cosines, -1, 1))
    along = source @ left
    away = (target @ right.T - along * np.cos(theta)) / np.sin(theta)
    nodes, weights = np.polynomial.legendre.leggauss(30)
    integral = np.zeros((9, 9))
    for t, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        axes = along * np.cos(t * theta) + away * np.sin(t * theta)
        integral += weight * axes @ axes.T
    assert np.allclose(root @ root.T, 2 * integral)


def test_the_regularised_classifier_minimises_its_objective() -> None:
    xs, ys, xt = domains(24, 21, 5)
    params = RegularizedParams(gap=3.0, manifold=0.5, ridge=0.2, neighbours=4, iterations=1, gamma=0.1)
    model, _ = solve(xs, ys, xt, 3, params, 0.4, "1nn")
    x, n = np.concatenate([xs, xt]), len(xs)
    guesses = ys[((xt[:, None] - xs[None]) ** 2).sum(axis=2).argmin(axis=1)]
    e, columns = marginal_vector(n, len(xt)), class_vectors(ys, guesses, 3)
    m = 0.6 * 3 * np.outer(e, e) + 0.4 * columns @ columns.T
    m /= np.linalg.norm(m)
    gram, aims, seen = Kernel("rbf", 0.1)(x, x), np.zeros((len(x), 3)), np.zeros(len(x))
    aims[np.arange(n), ys], seen[:n] = 1, 1
    quadratic = 3.0 * m + 0.5 * laplacian(x, 4).toarray()

    def objective(b: np.ndarray) -> float:
        f = gram @ b
        fit = (seen[:, None] * (aims - f) ** 2).sum()
        return float(fit + 0.2 * np.trace(b.T @ f) + np.trace(f.T @ quadratic @ f))

    least, rng = objective(model.coefficients), np.random.default_rng(0)
    for _ in range(20):
        assert objective(model.coefficients + 1e-3 * rng.normal(size=model.coefficients.shape)) > least


def test_jgsa_directions_solve_the_papers_quotient_and_weigh_by_their_worth() -> None:
    xs, ys, xt = domains(30, 24, 6)
    method = Jgsa(Jgsa.Params(dim=4, iterations=1, scatter=0.3, variance=0.7, closeness=2.0))
    method.count = 3
    moved, projection = method.align(xs, ys, xt)
    a, b = np.linalg.lstsq(xs, moved, rcond=None)[0], projection.matrix
    guesses = ys[((xt[:, None] - xs[None]) ** 2).sum(axis=2).argmin(axis=1)]
    e, columns = marginal_vector(len(xs), len(xt)), class_vectors(ys, guesses, 3)
    m = (3 * np.outer(e, e) + columns @ columns.T) / np.linalg.norm(3 * np.outer(e, e))
    both = np.block([[xs, np.zeros_like(xs)], [np.zeros_like(xt), xt]])
    eye, zero = np.eye(6), np.zeros((6, 6))
    means = np.stack([xs[ys == label].mean(axis=0) for label in ys])
    between = (means - xs.mean(axis=0)).T @ (means - xs.mean(axis=0))
    within = (xs - means).T @ (xs - means)
    top = np.block([[0.3 * between, zero], [zero, 0.7 * len(xt) * np.cov(xt, rowvar=False, ddof=0)]])
    below = np.block([[2 * eye + 0.3 * within, -2 * eye], [-2 * eye, 2.7 * eye]]) + both.T @ m @ both
    w = np.concatenate([a, b])
    worth = scipy.linalg.eigh(top, below, eigvals_only=True)[::-1][:4]
    assert np.allclose(w.T @ below @ w, np.eye(4), atol=1e-6)
    assert np.allclose(w.T @ top @ w, np.diag(worth), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [2, 4])
def test_the_svm_is_that_of_the_library_with_a_linear_kernel(count: int) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % count
    x = rng.normal(size=(count, 5))[y] + rng.normal(size=(60, 5))
    weights, scale = rng.uniform(0.5, 2, 60), np.sqrt((x * x).sum(axis=1).mean())
    weights[::7] = 0
    found = Svm().fit(x, y, count, weights)
    library = SVC(kernel="linear", C=1.0, tol=1e-6).fit(x / scale, y, sample_weight=weights)
    sign = -1 if count == 2 else 1
    assert np.allclose(sign * found.weight.T * scale, library.coef_, atol=0.02 * np.abs(library.coef_).max())
    assert (found.predict_proba(x).argmax(axis=1) == library.predict(x / scale)).mean() > 0.95


def test_the_graph_laplacian_is_symmetric_and_semidefinite() -> None:
    xs, _, _ = domains()
    matrix = laplacian(xs, 5).toarray()
    assert np.allclose(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix).min() > -1e-9


def test_a_ridge_with_few_factors_gives_what_the_general_eigenproblem_gives():
    draw = np.random.default_rng(0)
    x, factors = draw.normal(size=(40, 30)), draw.normal(size=(30, 3))
    b = x.T @ x
    fast = largest_over_ridge(b, factors, 0.7, 5)
    slow = largest_generalized(b, 0.7 * np.eye(30) + factors @ factors.T, 5)
    np.testing.assert_allclose(fast, slow, rtol=1e-8, atol=1e-10)
