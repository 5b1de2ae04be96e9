"""Normalisations of features, fitted on one domain: what the published tables differ by more than by method."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Normalizer:
    """Optional row sums to 1, then columns to mean 0 and deviation 1, then rows to length 1."""

    rowsum: bool = False
    zscore: bool = False
    unit: bool = False
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None

    def fit(self, x: np.ndarray) -> "Normalizer":
        """The same normaliser with its column statistics taken from x [n, d]."""
        x = self._rows(x)
        made = Normalizer(self.rowsum, self.zscore, self.unit)
        if self.zscore:
            deviation = x.std(axis=0, ddof=1, dtype=np.float64)
            made.mean, made.scale = x.mean(axis=0, dtype=np.float64), np.where(deviation > 1e-12, deviation, 1.0)
        return made

    def __call__(self, x: np.ndarray) -> np.ndarray:
        x = self._rows(np.asarray(x, np.float64))
        if self.zscore:
            x = x - self.mean
            x /= self.scale  # in place: large features are not held twice
        return unit_rows(x) if self.unit else x

    def arrays(self) -> dict[str, np.ndarray]:
        flags = {"flags": np.array([self.rowsum, self.zscore, self.unit], np.int64)}
        return {**flags, "mean": self.mean, "scale": self.scale} if self.zscore else flags

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray]) -> "Normalizer":
        return cls(*(bool(flag) for flag in arrays["flags"]), arrays.get("mean"), arrays.get("scale"))

    def _rows(self, x: np.ndarray) -> np.ndarray:
        if not self.rowsum:
            return x
        total = x.sum(axis=1, keepdims=True)
        return x / np.where(np.abs(total) > 1e-12, total, 1.0)


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of zeros stay."""
    length = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
    return x / np.where(length > 1e-12, length, 1.0)


NORMALIZERS = {
    "none": Normalizer(),
    "unit": Normalizer(unit=True),
    "zscore": Normalizer(zscore=True),
    "zscore-unit": Normalizer(zscore=True, unit=True),
    "rowsum-zscore": Normalizer(rowsum=True, zscore=True),
    "rowsum-zscore-unit": Normalizer(rowsum=True, zscore=True, unit=True),
}
