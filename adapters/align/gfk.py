"""Geodesic flow kernel: similarity over all subspaces on the way from the source's to the target's."""

import numpy as np
import scipy.linalg
from pydantic import Field

from adapters.align.base import Aligner, AlignParams
from adapters.align.eigen import principal_axes
from adapters.align.projections import Linear, Projection
from studio.core.registry import register


class GfkParams(AlignParams):
    dim: int = Field(20, ge=1, le=2048, description="dimensions of both subspaces")


@register("align/gfk")
class Gfk(Aligner):
    """Features whose inner product is the integral of the kernel along the geodesic, the source moved to the target's
    mean (both are 0 where features are standardised). Gong et al. 2012, eq. 2-6.
    """

    title = "Geodesic flow kernel"
    paper = "Gong, Shi, Sha, Grauman 2012, Geodesic Flow Kernel for Unsupervised Domain Adaptation"
    formula = r"\langle x, z \rangle = \int_0^1 (\Phi(t)^\top x)^\top (\Phi(t)^\top z) \, dt = x^\top G z"
    Params = GfkParams
    columns_per_dim = 2  # of each pair of principal angles

    def align(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> tuple[np.ndarray, Projection]:
        dim = self.params.dim
        projection = Linear(flow_root(principal_axes(xs, dim), principal_axes(xt, dim)))
        return projection(xs - xs.mean(axis=0) + xt.mean(axis=0)), projection


def flow_root(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """L [d, 2k] with G = L L^T, the kernel between the subspaces of orthonormal source and target [d, k] each.

    A pair of principal angles theta gives the block [[1 + s, c], [c, 1 - s]] with s = sin 2theta / 2theta and
    c = (cos 2theta - 1) / 2theta; G is taken without the factor 1/2, which no classifier here sees.
    """
    k = min(source.shape[1], target.shape[1])
    source, target = source[:, :k], target[:, :k]
    left, cosines, right = scipy.linalg.svd(source.T @ target)
    theta = np.arccos(np.clip(cosines, 0.0, 1.0))
    along = source @ left
    away = target @ right.T - along * np.cos(theta)  # what the target's axes have beside the source's
    length = np.linalg.norm(away, axis=0)
    away = np.where(length > 1e-8, away / np.where(length > 1e-8, length, 1.0), 0.0)
    double = np.maximum(2.0 * theta, 1e-12)
    s, c = np.sin(double) / double, (1.0 - np.cos(double)) / double
    blocks = np.stack([np.stack([1.0 + s, c], axis=-1), np.stack([c, 1.0 - s], axis=-1)], axis=-2)
    values, vectors = np.linalg.eigh(blocks)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    first = along * roots[:, 0, 0] + away * roots[:, 1, 0]
    second = along * roots[:, 0, 1] + away * roots[:, 1, 1]
    return np.concatenate([first, second], axis=1)
