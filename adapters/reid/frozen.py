"""Frozen: features of a backbone as it is, compared by a metric that is solved in a moment."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from adapters.reid.metric import kissme, principal, whitening
from studio.core.errors import StoreError
from studio.core.faces import Estimator
from studio.core.registry import Params, register


class FrozenParams(Params):
    metric: Literal["cosine", "whitening", "kissme"] = Field(
        "whitening",
        description="cosine learns nothing | whitening and KISSME weigh what changes within individuals less",
    )
    dims: Annotated[int, Field(ge=2, le=4096)] | None = Field(
        None, description="principal components that are kept first; null keeps all, of KISSME a quarter of the images"
    )
    shrinkage: float = Field(
        0.1,
        ge=0,
        le=1,
        description="how far covariances are drawn towards equal in all directions; more for few images",
    )


@register("reid/frozen")
class FrozenMetric(Estimator):
    """Features of a frozen backbone and a metric that is solved, for a laptop and as the floor beside what trains.

    `cosine` is the angle between features. `whitening`: centred, then what changes within individuals made equal in all
    directions. `kissme`: the likelihood ratio of a pair (Koestinger et al. 2012), on principal components.
    """

    title = "Frozen features, solved metric"
    paper = "Koestinger et al. 2012, Large Scale Metric Learning from Equivalence Constraints"
    task = "reid"
    uses = ("data.train", "data.test", "eval.splits")
    train_keys = ("seed", "workers")
    takes_checkpoint = False
    Params = FrozenParams
    mean: np.ndarray
    weights: np.ndarray

    def fit(self, x: np.ndarray, labels: np.ndarray, seed: int = 0) -> "FrozenMetric":  # type: ignore[override]
        """x float32 [N, D], labels int64 [N]. cosine looks at neither."""
        self.mean, self.weights = np.zeros(x.shape[1]), np.eye(x.shape[1])
        if self.params.metric == "cosine" or len(x) < 2:
            return self
        x = _unit(x)
        self.mean = x.mean(axis=0)
        x = x - self.mean
        most = self.params.dims or (max(2, len(x) // 4) if self.params.metric == "kissme" else None)
        basis = principal(x, most)
        solve = {"whitening": whitening, "kissme": lambda *given: kissme(*given, seed)}[self.params.metric]
        self.weights = basis @ solve(x @ basis, labels, self.params.shrinkage)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Embeddings float32 [N, d] of features [N, D]; squared Euclidean distances between them are the metric."""
        out = (_unit(x) - self.mean) @ self.weights
        return (_unit(out) if self.unit else out).astype(np.float32)

    @property
    def unit(self) -> bool:
        """Whether embeddings are of unit length."""
        return self.params.metric != "kissme"

    def state(self) -> dict[str, np.ndarray]:
        return {"mean": self.mean, "weights": self.weights}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        try:
            self.mean, self.weights = (np.asarray(state[name], np.float64) for name in ("mean", "weights"))
        except KeyError as error:
            raise StoreError(f"The checkpoint lacks {error} of its metric.") from error


def _unit(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
