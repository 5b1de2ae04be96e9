"""What every aligner shares: checks, normalisation, the classifier on aligned features, stored state."""

from typing import Literal

import numpy as np
from pydantic import Field

from adapters.align.classifiers import Classifier, make_classifier
from adapters.align.normalize import NORMALIZERS, Normalizer
from adapters.align.projections import Identity, Projection
from adapters.align.stored import part
from studio.core.errors import DataError
from studio.core.faces import Estimator
from studio.core.registry import Params

TRAIN_KEYS = ("seed", "workers", "precision")  # of `train`; the others are for what is trained step by step


class AlignParams(Params):
    normalize: Literal["none", "unit", "zscore", "zscore-unit", "rowsum-zscore", "rowsum-zscore-unit"] = Field(
        "zscore-unit", description="how features are normalised, each domain by itself"
    )
    classifier: Literal["1nn", "svm", "logistic"] = Field("1nn", description="what is trained on the aligned source")
    choose: str = Field("", description="lists to choose from without target labels, such as `dim: [10, 20, 30]`")
    score: Literal["importance-weighted", "dev", "entropy", "snd", "circular"] = Field(
        "circular", description="the label-free score that `choose` goes by"
    )


class Aligner(Estimator):
    """`fit(source [n, d], labels [n], target [m, d])`; there is no argument for target labels.

    `sample_domain` [n] names the domain of each source row, where there are several; a method that tells sources apart
    finds it as `self.sample_domain`.

    A method fills `align`, which returns the aligned source and a projection for target samples; or it overrides
    `solve` and sets its own classifier. `note` says what was approximated or left out, if anything was.
    """

    task = "align"
    uses = ("data.source", "data.target", "eval.fallback")
    train_keys = TRAIN_KEYS
    takes_checkpoint = False
    Params = AlignParams
    note: str = ""
    #: columns of the common space for each of `params.dim`
    columns_per_dim: int = 1

    def fit(
        self, source: np.ndarray, labels: np.ndarray, target: np.ndarray, sample_domain: np.ndarray | None = None
    ) -> "Aligner":
        """Raises DataError for NaN, different widths, fewer than two classes or constant features."""
        source, target = check_pair(source, labels, target)
        self.sample_domain = sample_domain
        self.count = int(labels.max()) + 1
        self._solve_normalized(source, labels, target)
        return self

    def _solve_normalized(self, source: np.ndarray, labels: np.ndarray, target: np.ndarray) -> None:
        normalize = NORMALIZERS[self.params.normalize]
        self.source_norm, self.target_norm = normalize.fit(source), normalize.fit(target)
        self.note = ""
        self.solve(self.source_norm(source), np.asarray(labels, np.int64), self.target_norm(target))
        asked, width = getattr(self.params, "dim", 0), self.projection.width
        if width is not None and width < asked * self.columns_per_dim:
            fewer = f"params.dim: {asked} were asked for, {width // self.columns_per_dim} are there and were used"
            self.note = f"{self.note}; {fewer}" if self.note else fewer

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        """Sets `self.projection` (of target samples) and `self.classifier` from normalised features."""
        zs, self.projection = self.align(xs, ys, xt)
        self.aligned_source = zs
        self.classifier = make_classifier(self.params.classifier).fit(zs, ys, self.count)

    def align(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> tuple[np.ndarray, Projection]:
        """The aligned source [n, k], and the projection that brings target samples [m, d] to [m, k]."""
        return xs, Identity()

    def embed(self, x: np.ndarray, domain: Literal["source", "target"] = "target") -> np.ndarray:
        """Target samples in the common space, for figures; source samples by the same projection."""
        norm = self.target_norm if domain == "target" else self.source_norm
        return self.projection(norm(x))

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Probabilities [n, C] of target samples [n, d]."""
        return self.classifier.predict_proba(self.embed(x))

    def state(self) -> dict[str, np.ndarray]:
        stored = {
            "norm": self.target_norm.arrays(),
            "projection": self.projection.stored(),
            "classifier": self.classifier.stored(),
        }
        return {f"{name}.{key}": array for name, arrays in stored.items() for key, array in arrays.items()}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.target_norm = self.source_norm = Normalizer.restore(part(state, "norm"))
        self.projection = Projection.restore(part(state, "projection"))
        self.classifier = Classifier.restore(part(state, "classifier"))


class FewLabels(Aligner):
    """An aligner that is told a few target labels: `fit(source, labels, target, few, few_labels)`.

    `few` indexes rows of `target`; the procedure draws them with the run's seed and never scores on them.
    """

    uses = ("data.source", "data.target")
    #: source and target may have features of different dimension
    heterogeneous: bool = False

    def fit(  # type: ignore[override]
        self, source: np.ndarray, labels: np.ndarray, target: np.ndarray, few: np.ndarray, few_labels: np.ndarray,
        sample_domain: np.ndarray | None = None,
    ) -> "FewLabels":  # fmt: skip
        """Raises DataError as `Aligner.fit` does, and where no target label is given."""
        source, target = check_pair(source, labels, target, same_width=not self.heterogeneous)
        if len(few) == 0:
            raise DataError(f"{self.id} needs labelled target samples; set params.labelled_per_class to 1 or more.")
        self.count = int(max(labels.max(), few_labels.max())) + 1
        self.sample_domain = sample_domain
        self.few, self.few_labels = np.asarray(few), np.asarray(few_labels, np.int64)
        self._solve_normalized(source, labels, target)
        return self


class FewLabelsParams(AlignParams):
    labelled_per_class: int = Field(3, ge=1, le=1000, description="target labels a class that the method is told")


class HeterogeneousParams(FewLabelsParams):
    source_backbone: str = Field(
        "", description="backbone of the source's images, where it is another than model.backbone, the target's"
    )

    def backbone_names(self) -> list[str]:
        return [self.source_backbone] if self.source_backbone else []


def floats(x: np.ndarray) -> np.ndarray:
    """x itself where it holds float32 or float64, else a float64 copy: 50,000 x 1,280 values are 0.5 GB each time."""
    x = np.asarray(x)
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)


def check_pair(
    source: np.ndarray, labels: np.ndarray, target: np.ndarray, same_width: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Source and target as `floats`; normalisation makes them float64. Raises DataError naming what is wrong."""
    arrays = {"source": floats(source), "target": floats(target)}
    for name, array in arrays.items():
        if array.ndim != 2 or len(array) < 2:
            raise DataError(f"{name}: found features of shape {array.shape}; expected at least two rows [n, d].")
        if not np.isfinite(array).all():
            rows = int((~np.isfinite(array)).any(axis=1).sum())
            raise DataError(f"{name}: {rows} of {len(array)} rows hold NaN or infinite values. Leave them out first.")
        if np.ptp(array, axis=0).max() == 0:
            raise DataError(f"{name}: every feature is constant; there is nothing to align.")
    if same_width and arrays["source"].shape[1] != arrays["target"].shape[1]:
        raise DataError(
            f"The source has {arrays['source'].shape[1]} features, the target {arrays['target'].shape[1]}; "
            "this method needs the same ones. align/hfa, align/cdls and align/stn take different ones."
        )
    if len(labels) != len(arrays["source"]):
        raise DataError(f"source: {len(arrays['source'])} rows, but {len(labels)} labels.")
    if len(np.unique(labels)) < 2:
        raise DataError("source: all labels are the same; at least two classes are needed.")
    return arrays["source"], arrays["target"]
