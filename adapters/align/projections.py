"""How target samples reach the common space: a matrix, or kernel values against anchors times coefficients."""

from dataclasses import dataclass, field

import numpy as np

from adapters.align.kernels import Kernel
from adapters.align.normalize import unit_rows
from adapters.align.stored import Arrays, Stored


def origin() -> np.ndarray:
    """The centre of what is not moved."""
    return np.zeros(1)


class Projection(Stored, numbered=("identity", "linear", "kernel")):
    """[m, d] -> [m, k]. `width` is k, or None where samples stay as they are."""

    width: int | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError


@dataclass
class Identity(Projection, kind="identity"):
    """Leaves the samples where they are."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x

    def arrays(self) -> Arrays:
        return {}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Identity":
        return cls()


@dataclass
class Linear(Projection, kind="linear"):
    """x W - centre, rows brought to length 1 where `unit`."""

    matrix: np.ndarray  # [d, k]
    unit: bool = False
    centre: np.ndarray = field(default_factory=origin)  # [k] or [1]

    @property
    def width(self) -> int:
        return self.matrix.shape[1]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        z = x @ self.matrix - self.centre
        return unit_rows(z) if self.unit else z

    def arrays(self) -> Arrays:
        return {"matrix": self.matrix, "unit": np.array([self.unit], np.int64), "centre": self.centre}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Linear":
        return cls(arrays["matrix"], bool(arrays["unit"][0]), arrays.get("centre", origin()))


@dataclass
class Kernelized(Projection, kind="kernel"):
    """k(x, anchors) A - centre, rows brought to length 1 where `unit`.

    `placed` [a, k] are the anchors themselves where these are the fitted samples; their last ones, the target, are
    what is predicted most, and are looked up.
    """

    anchors: np.ndarray  # [a, d]
    coefficients: np.ndarray  # [a, k]
    kernel: Kernel = field(default_factory=Kernel)
    unit: bool = False
    centre: np.ndarray = field(default_factory=origin)  # [k] or [1]
    placed: np.ndarray | None = None

    @property
    def width(self) -> int:
        return self.coefficients.shape[1]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if self.placed is not None and np.array_equal(x, self.anchors[-len(x) :]):
            return self.placed[-len(x) :]
        z = self.kernel(x, self.anchors) @ self.coefficients - self.centre
        return unit_rows(z) if self.unit else z

    def arrays(self) -> Arrays:
        return {
            "anchors": self.anchors,
            "coefficients": self.coefficients,
            "kernel": self.kernel.array(),
            "unit": np.array([self.unit], np.int64),
            "centre": self.centre,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Kernelized":
        kernel, unit = Kernel.restore(arrays["kernel"]), bool(arrays["unit"][0])
        return cls(arrays["anchors"], arrays["coefficients"], kernel, unit, arrays.get("centre", origin()))
