"""What every alignment method keeps: restored state, invariances, odd shapes, sentences for bad input."""

import numpy as np
import pytest
import scipy.linalg

from adapters.align.base import Aligner, FewLabels
from studio.core import registry
from studio.core.errors import DataError

ALL = [cls for cls in registry.methods("align") if issubclass(cls, Aligner)]
PLAIN = [cls for cls in ALL if not issubclass(cls, FewLabels)]


def domains(n: int = 45, m: int = 36, d: int = 10, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    ys, yt = np.arange(n) % 3, np.arange(m) % 3
    means = rng.normal(size=(3, d)) * 3
    turn = scipy.linalg.expm(0.05 * (lambda a: a - a.T)(rng.normal(size=(d, d))))
    return means[ys] + rng.normal(size=(n, d)), ys, (means[yt] + rng.normal(size=(m, d))) @ turn + 1.0, yt


def fit(cls: type[Aligner], xs: np.ndarray, ys: np.ndarray, xt: np.ndarray, yt: np.ndarray) -> Aligner:
    model = cls(cls.Params(dim=3) if "dim" in cls.Params.model_fields else cls.Params())
    if isinstance(model, FewLabels):
        few = np.array([np.flatnonzero(yt == label)[0] for label in np.unique(yt)])
        return model.fit(xs, ys, xt, few, yt[few])
    return model.fit(xs, ys, xt)


def names(cls: type[Aligner]) -> str:
    return cls.id


@pytest.mark.parametrize("cls", ALL, ids=names)
def test_easy_domains_are_classified_and_a_restored_model_says_the_same(cls: type[Aligner]) -> None:
    xs, ys, xt, yt = domains()
    model = fit(cls, xs, ys, xt, yt)
    found = model.predict_proba(xt)
    assert np.isrealobj(found) and np.allclose(found.sum(axis=1), 1.0) and (found >= 0).all()
    assert (found.argmax(axis=1) == yt).mean() > 0.8
    again = cls(model.params)
    again.load_state({name: np.ascontiguousarray(value) for name, value in model.state().items()})
    assert np.allclose(again.predict_proba(xt), found)


@pytest.mark.parametrize("cls", ALL, ids=names)
def test_more_features_than_samples_and_a_class_missing_in_the_target_are_no_trouble(cls: type[Aligner]) -> None:
    xs, ys, xt, yt = domains(18, 15, 60)
    kept = yt != 2
    found = fit(cls, xs, ys, xt[kept], yt[kept]).predict_proba(xt[kept])
    assert np.isfinite(found).all() and found.shape == (kept.sum(), 3)


@pytest.mark.parametrize("cls", ALL, ids=names)
def test_one_source_sample_a_class_is_enough(cls: type[Aligner]) -> None:
    xs, ys, xt, yt = domains()
    first = np.array([np.flatnonzero(ys == label)[0] for label in range(3)])
    assert fit(cls, xs[first], ys[first], xt, yt).predict(xt).shape == yt.shape


@pytest.mark.parametrize("cls", [cls for cls in ALL if "dim" in cls.Params.model_fields], ids=names)
def test_dimensions_that_are_not_there_are_said_and_those_that_are_not(cls: type[Aligner]) -> None:
    xs, ys, xt, yt = domains()
    assert "params.dim" not in fit(cls, xs, ys, xt, yt).note
    many = cls(cls.Params(dim=2000))
    few = np.arange(6)
    model = many.fit(xs, ys, xt, few, yt[few]) if isinstance(many, FewLabels) else many.fit(xs, ys, xt)
    assert "params.dim: 2000 were asked for" in model.note


@pytest.mark.parametrize("cls", PLAIN, ids=names)
def test_scale_and_mirrored_features_change_nothing(cls: type[Aligner]) -> None:
    xs, ys, xt, yt = domains()
    flip = np.where(np.arange(10) % 2, 1.0, -1.0) * 7.0
    plain = fit(cls, xs, ys, xt, yt).predict(xt)
    mirrored = fit(cls, xs * flip, ys, xt * flip, yt).predict(xt * flip)
    assert (plain == mirrored).mean() > 0.97


@pytest.mark.parametrize("cls", ALL, ids=names)
def test_bad_features_are_named_in_a_sentence(cls: type[Aligner]) -> None:
    xs, ys, xt, yt = domains()
    broken = xs.copy()
    broken[3, 2] = np.nan
    with pytest.raises(DataError, match="source: 1 of 45 rows hold NaN"):
        fit(cls, broken, ys, xt, yt)
    with pytest.raises(DataError, match="target: every feature is constant"):
        fit(cls, xs, ys, np.ones_like(xt), yt)
    with pytest.raises(DataError, match="at least two classes"):
        fit(cls, xs, np.zeros_like(ys), xt, yt)


@pytest.mark.parametrize("name", ["hfa", "cdls", "stn"])
def test_domains_of_different_dimension_are_taken(name: str) -> None:
    xs, ys, _, _ = domains()
    _, _, xt, yt = domains(d=17, seed=1)
    model = fit(registry.get(f"align/{name}"), xs, ys, xt, yt)
    assert (model.predict(xt) == yt).mean() > 0.6


def test_other_methods_say_which_take_different_dimensions() -> None:
    xs, ys, _, _ = domains()
    _, _, xt, yt = domains(d=17)
    with pytest.raises(DataError, match="align/hfa, align/cdls and align/stn"):
        fit(registry.get("align/tca"), xs, ys, xt, yt)


WITHOUT_TARGET_LABELS = ["self", "source", "labels", "target", "sample_domain"]


def test_target_labels_have_no_way_into_fit() -> None:
    import inspect

    for cls in PLAIN:
        assert list(inspect.signature(cls.fit).parameters) == WITHOUT_TARGET_LABELS, cls.id


def test_the_nearest_neighbour_row_is_the_published_one(shared_data) -> None:  # noqa: ANN001
    from scipy.io import loadmat

    files = {"C": "caltech10", "A": "amazon", "W": "webcam", "D": "dslr"}
    loaded = {k: loadmat(shared_data / "office_caltech10_surf" / f"{name}.mat") for k, name in files.items()}
    sets = {k: (v["fts"].astype(float), v["labels"].ravel().astype(int) - 1) for k, v in loaded.items()}
    row = {"CA": 23.7, "CW": 25.8, "CD": 25.5, "AC": 26.0, "AW": 29.8, "AD": 25.5, "WC": 19.9, "WA": 23.0, "WD": 59.2,
           "DC": 26.3, "DA": 28.5, "DW": 63.4}  # fmt: skip
    cls = registry.get("align/none")
    for task, published in row.items():
        (xs, ys), (xt, yt) = sets[task[0]], sets[task[1]]
        model = cls(cls.Params(normalize="rowsum-zscore", classifier="1nn")).fit(xs, ys, xt)
        assert round(100 * (model.predict(xt) == yt).mean(), 1) == published, task
