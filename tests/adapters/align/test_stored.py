"""What an alignment leaves is found again by the name of its kind, and by the number that older checkpoints have."""

import numpy as np
import pytest

from adapters.align.classifiers import Classifier, LinearClassifier, Logistic, NearestNeighbour, Svm
from adapters.align.domains import Domain, Pair, pair_of
from adapters.align.kernels import Kernel
from adapters.align.procedure import fitted
from adapters.align.projections import Identity, Kernelized, Linear, Projection
from adapters.align.regularized import KernelClassifier
from adapters.align.tca import Tca
from adapters.align.tradaboost import Committee
from studio.core.errors import StoreError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 4)) + np.repeat(np.arange(3), 10)[:, None], np.repeat(np.arange(3), 10)
KERNEL = KernelClassifier(X[:5], RNG.normal(size=(5, 3)), Kernel("rbf", 0.5))
CLASSIFIERS = [*(kind().fit(X, Y, 3) for kind in (NearestNeighbour, Svm, Logistic)), KERNEL]
CLASSIFIERS += [Committee(CLASSIFIERS[1:3], np.array([1.0, 2.0]))]
PROJECTIONS = [Identity(), Linear(RNG.normal(size=(4, 2)), True), Kernelized(X[:6], RNG.normal(size=(6, 2)))]


def numbered(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As checkpoints were written before kinds had names: `kind` [number, classes], or [number] of a projection."""
    numbers = {"1nn": 0, "linear": 1, "svm": 2, "kernel": 3, "committee": 4}
    old = {}
    for name, array in stored.items():
        if name.rpartition(".")[2] == "kind":
            old[name] = np.array([numbers[array.tobytes().decode()], 3])
        elif name.rpartition(".")[2] != "classes":
            old[name] = array
    return old


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda one: type(one).__name__)
def test_a_classifier_predicts_the_same_by_its_name_and_by_its_old_number(classifier):
    expected = classifier.predict_proba(X)
    for stored in (classifier.stored(), numbered(classifier.stored())):
        np.testing.assert_array_equal(Classifier.restore(stored).predict_proba(X), expected)


@pytest.mark.parametrize(("number", "projection"), enumerate(PROJECTIONS))
def test_a_projection_places_the_same_by_its_name_and_by_its_old_number(number, projection):
    stored = projection.stored()
    for arrays in (stored, {**stored, "kind": np.array([number])}):
        np.testing.assert_array_equal(Projection.restore(arrays)(X), projection(X))


def test_an_unknown_kind_is_told_with_the_nearest():
    with pytest.raises(StoreError, match="Classifier 'svn'. Did you mean 'svm'"):
        Classifier.restore({"kind": np.frombuffer(b"svn", np.uint8)})


def test_two_classes_of_one_kind_are_refused():
    with pytest.raises(ValueError, match="two classes are stored as 'svm'"):
        type("Other", (LinearClassifier,), {"__module__": "elsewhere"}, kind="svm")


def test_a_fit_gets_a_pair_in_which_there_is_no_target_label():
    domain = Domain(X, Y, ["a", "b", "c"])
    pair, truth = pair_of(domain, domain)
    assert not any(name in vars(pair) for name in ("yt", "labels", "truth")) and list(truth.labels) == list(Y)
    blind = Pair(pair.xs, pair.ys, pair.xt, pair.classes)  # all that there is without the truth
    models = [fitted(Tca, Tca.Params(dim=2), one) for one in (pair, blind)]
    np.testing.assert_array_equal(*(model.predict_proba(X) for model in models))
