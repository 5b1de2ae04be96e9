"""Maps of features: t-SNE in two dimensions, classes by colour, domains by marker."""

import numpy as np
from matplotlib.figure import Figure

from studio.figures.style import COLOURS, figure, fonts, short

MOST = 2000  # points; t-SNE grows faster than their number
MARKERS = ("o", "^", "s", "D", "v", "P")


def tsne_figure(
    sets: dict[str, np.ndarray],
    labels: np.ndarray,
    classes: list[str],
    domains: list[str] | None = None,
    seed: int = 0,
) -> Figure:
    """One panel a feature set, such as {"before": [N, D], "after": [N, E]}, over the same N points.

    labels [N] (-1: grey), domains [N] names. Of more than 2,000 points a seeded sample is shown.
    """
    count = len(labels)
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:MOST])
    made = figure(5.2 * len(sets), 4.6)
    for place, (name, features) in enumerate(sets.items(), start=1):
        axes = made.add_subplot(1, len(sets), place)
        _scatter(
            axes, project(features[chosen], seed), labels[chosen], classes, domains and [domains[i] for i in chosen]
        )
        axes.set(xticks=[], yticks=[], title=name)
        if place == len(sets) and (len(classes) <= 12 or domains):
            axes.legend(
                frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), prop={"family": fonts()}
            )
    return made


def project(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Points [N, 2] of features [N, D] by t-SNE after PCA to 50; PCA alone below five points."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    features = np.nan_to_num(np.asarray(features, np.float64))
    wide = min(50, *features.shape)
    if wide < features.shape[1]:
        features = PCA(wide, random_state=seed).fit_transform(features)
    if len(features) < 5:
        padded = np.zeros((len(features), 2))
        padded[:, : min(2, features.shape[1])] = features[:, :2]
        return padded
    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)


def _scatter(axes, points: np.ndarray, labels: np.ndarray, classes: list[str], domains: list[str] | None) -> None:
    names = list(dict.fromkeys(domains)) if domains else [""]
    for index, domain in enumerate(names):
        here = np.array([d == domain for d in domains]) if domains else np.ones(len(labels), bool)
        for label in np.unique(labels[here]):
            rows = here & (labels == label)
            colour = "#999999" if label < 0 else COLOURS[label % 7]
            text = short(classes[label]) if label >= 0 and index == 0 else None
            axes.scatter(
                *points[rows].T, s=14, color=colour, alpha=0.7, marker=MARKERS[index % 6], label=text, linewidths=0
            )
        if domain:
            axes.scatter([], [], marker=MARKERS[index % 6], color="#333333", label=domain)
