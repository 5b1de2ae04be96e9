"""Maps of features: t-SNE or UMAP in two dimensions, classes by colour, domains by marker; and films of them."""

from io import BytesIO
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from studio.figures.style import COLOURS, FAINT, INK, QUIET, figure, fonts, short, tidy

By = Literal["tsne", "umap"]

MOST = 2000  # points; t-SNE grows faster than their number
MARKERS = ("o", "^", "s", "D", "v", "P")
SHADES = [*COLOURS[:6], "#999933", "#882255", "#332288", COLOURS[7]]  # yellow says little on white
NAMED = len(SHADES)  # classes up to which a legend tells them; then colours come round again,
LABELLED = 40  # and up to so many their names stand in the map


def tsne_figure(
    sets: dict[str, np.ndarray],
    labels: np.ndarray,
    classes: list[str],
    domains: list[str] | None = None,
    seed: int = 0,
    by: By = "tsne",
) -> Figure:
    """One panel a feature set, such as {"before": [N, D], "after": [N, E]}, over the same N points.

    labels [N] (-1: grey), domains [N] names. Of more than 2,000 points a seeded sample is shown. `by` umap needs the
    package umap-learn.
    """
    count = len(labels)
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:MOST])
    points = {name: project(features[chosen], seed, by) for name, features in sets.items()}
    where = [domains[row] for row in chosen] if domains else None
    return _panels(points, np.asarray(labels)[chosen], classes, where, list(dict.fromkeys(domains or [""])))


def map_film(
    frames: dict[str, np.ndarray], labels: np.ndarray, classes: list[str], domains: list[str], seed: int = 0,
    by: By = "tsne",
) -> list[Image.Image]:  # fmt: skip
    """An image for each feature set [N, D], all of the same N points; each map is begun from the one before."""
    images: list[Image.Image] = []
    points = None
    for name, features in frames.items():
        points = project(features, seed, by, points)
        drawn = _panels({name: points}, np.asarray(labels), classes, domains, list(dict.fromkeys(domains)))
        file = BytesIO()
        drawn.savefig(file, format="png", dpi=110)  # not cropped, so that all frames have one size
        images.append(Image.open(file).convert("RGB"))
    return images


def _panels(
    sets: dict[str, np.ndarray], labels: np.ndarray, classes: list[str], domains: list[str] | None, kinds: list[str]
) -> Figure:
    """One panel for each set of points [N, 2], and a legend."""
    where = np.array(domains) if domains else np.full(len(labels), "")
    present = [int(label) for label in np.unique(labels) if label >= 0]
    made = figure(4.6 * len(sets) + 1.4, 4.4)
    for place, (name, points) in enumerate(sets.items(), start=1):
        axes = made.add_subplot(1, len(sets), place)
        _scatter(axes, points, labels, where, kinds)
        if NAMED < len(present) <= LABELLED:
            for label in present:
                x, y = np.median(points[labels == label], axis=0)
                axes.text(x, y, short(classes[label], 12), ha="center", va="center", fontsize=7, fontfamily=fonts())
        axes.set(xticks=[], yticks=[], title=name)
        tidy(axes)
        for spine in axes.spines.values():
            spine.set(visible=True, color=FAINT)
    handles = _legend(present, classes, kinds if domains else [])
    if handles:
        made.legend(handles=handles, loc="outside right center", frameon=False, prop={"family": fonts(), "size": 8})
    return made


def project(features: np.ndarray, seed: int = 0, by: By = "tsne", start: np.ndarray | None = None) -> np.ndarray:
    """Points [N, 2] of features [N, D] by t-SNE (van der Maaten and Hinton 2008) or UMAP (McInnes et al. 2018).

    After PCA to 50 dimensions; PCA alone below five points. `start` [N, 2] is where the points begin.
    """
    from sklearn.decomposition import PCA

    features = np.nan_to_num(np.asarray(features, np.float64))
    if len(features) < 2:
        return np.zeros((len(features), 2))
    wide = min(50, *features.shape)
    if wide < features.shape[1]:
        features = PCA(wide, random_state=seed).fit_transform(features)
    if len(features) < 5 or features.shape[1] < 2:
        padded = np.zeros((len(features), 2))
        padded[:, : min(2, features.shape[1])] = features[:, :2]
        return padded
    return (_tsne if by == "tsne" else _umap)(features, seed, start)


def _tsne(features: np.ndarray, seed: int, start: np.ndarray | None) -> np.ndarray:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    if start is not None and np.ptp(start, axis=0).any():
        begun = 1e-4 * (start - start.mean(axis=0)) / start.std()  # as small as scikit-learn has the axes of PCA
    else:
        begun = "pca" if np.ptp(features, axis=0).any() else "random"  # all the same: PCA would divide by nothing
    return TSNE(2, perplexity=perplexity, init=begun, random_state=seed).fit_transform(features)


def _umap(features: np.ndarray, seed: int, start: np.ndarray | None) -> np.ndarray:
    from umap import UMAP

    begun = "spectral" if start is None else start.astype(np.float32)
    near = min(15, len(features) - 1)
    return UMAP(n_components=2, n_neighbors=near, init=begun, random_state=seed).fit_transform(features)


def _scatter(axes: Axes, points: np.ndarray, labels: np.ndarray, where: np.ndarray, kinds: list[str]) -> None:
    for index, kind in enumerate(kinds):
        rows = np.flatnonzero(where == kind)
        colours = [_colour(label) for label in labels[rows]]
        hollow = index % 2 == 1  # a second domain is outlines, so that it shows where points lie on each other
        axes.scatter(
            *points[rows].T, s=18, marker=MARKERS[index % len(MARKERS)], alpha=0.8, linewidths=0.9 if hollow else 0,
            facecolors="none" if hollow else colours, edgecolors=colours if hollow else "none",
        )  # fmt: skip


def _legend(present: list[int], classes: list[str], kinds: list[str]) -> list[Line2D]:
    def dot(text: str, colour: str, index: int = 0) -> Line2D:
        hollow = index % 2 == 1
        return Line2D(
            [], [], linestyle="none", marker=MARKERS[index % len(MARKERS)], markersize=5, color=colour, label=text,
            markerfacecolor="none" if hollow else colour,
        )  # fmt: skip

    handles = [dot(kind, INK, index) for index, kind in enumerate(kinds)]
    if len(present) <= NAMED:
        handles += [dot(short(classes[label], 22), _colour(label)) for label in present]
    return handles


def _colour(label: int) -> str:
    return QUIET if label < 0 else SHADES[label % len(SHADES)]
