"""Linear probe: a linear classifier solved on frozen features."""

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from adapters.finetune.standard import mean_and_scale
from studio.core.errors import DataError
from studio.core.faces import Estimator
from studio.core.registry import Params, register

if TYPE_CHECKING:
    from torch import nn


class LinearProbeParams(Params):
    c: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description="inverse strength of the L2 penalty; null chooses it by cross-validation on train"
    )
    max_iter: int = Field(1000, ge=1, le=100_000, description="iterations of the solver at most")


GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def choose_c(x: np.ndarray, y: np.ndarray, max_iter: int, folds: int = 5) -> float:
    """The c of GRID with the smallest cross-validated loss on x [n, d], y [n]; 0.01 where a class has one image."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = min(folds, int(np.bincount(y)[np.unique(y)].min()))
    if folds < 2:
        return 1e-2
    parts = StratifiedKFold(folds, shuffle=True, random_state=0)

    def loss(c: float) -> float:
        model = LogisticRegression(C=c, max_iter=max_iter)
        return -cross_val_score(model, x, y, cv=parts, scoring="neg_log_loss").mean()

    return min(GRID, key=loss)


@register("finetune/linear-probe")
class LinearProbe(Estimator):
    """Multinomial logistic regression on the features of a frozen backbone.

    Features are standardised by the training set. The problem is convex, so the result depends on
    nothing but the data and `c`, which is chosen on the training images alone. The usual yardstick of
    representation quality, e.g. Kornblith et al. 2019, section 4.1.
    """

    title = "Linear probe"
    paper = "Kornblith et al. 2019, Do Better ImageNet Models Transfer Better?"
    task = "classify"
    Params = LinearProbeParams

    def fit(self, x: np.ndarray, y: np.ndarray, classes: int | None = None) -> "LinearProbe":
        """x [n, d] features, y [n] class indices. Raises DataError for non-finite features."""
        from sklearn.linear_model import LogisticRegression

        if not np.isfinite(x).all():
            raise DataError("The features hold NaN or infinite values; look for blank or damaged images.")
        count = classes or int(y.max()) + 1
        self.mean, self.scale = (part.astype(np.float32) for part in mean_and_scale(x))
        standard = (x - self.mean) / self.scale
        self.c = self.params.c or choose_c(standard, y, self.params.max_iter)
        model = LogisticRegression(C=self.c, max_iter=self.params.max_iter).fit(standard, y)
        self.weight = np.zeros((count, x.shape[1]), np.float32)
        self.bias = np.full(count, -1e4, np.float32)  # a class without a training image is never predicted
        if len(model.classes_) == 2:
            first, second = model.classes_
            self.weight[second], self.bias[second] = model.coef_[0], model.intercept_[0]
            self.bias[first] = 0.0
        else:
            self.weight[model.classes_], self.bias[model.classes_] = model.coef_, model.intercept_
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        logits = ((x - self.mean) / self.scale) @ self.weight.T + self.bias
        logits = logits - logits.max(axis=1, keepdims=True)
        exp = np.exp(logits)
        return exp / exp.sum(axis=1, keepdims=True)

    def state(self) -> dict[str, np.ndarray]:
        return {"weight": self.weight, "bias": self.bias, "mean": self.mean, "scale": self.scale}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.weight, self.bias = state["weight"], state["bias"]
        self.mean, self.scale = state["mean"], state["scale"]

    def linear(self) -> "nn.Linear":
        """The same classifier as one torch layer, the standardisation folded in."""
        import torch
        from torch import nn

        layer = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        weight = self.weight / self.scale
        layer.weight = nn.Parameter(torch.from_numpy(weight))
        layer.bias = nn.Parameter(torch.from_numpy(self.bias - weight @ self.mean))
        return layer
