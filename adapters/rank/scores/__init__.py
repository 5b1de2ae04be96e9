"""Transferability scores: pure functions of features [n, d] or source-class posteriors [n, Z], and labels [n].

May use adapters.rank.checks and studio.core. For all of them higher is better. `FEATURE_SCORES` read features,
`POSTERIOR_SCORES` what the network's own classifier, or a mixture in its place, says of the images.
"""

from adapters.rank.scores.gbc import gbc
from adapters.rank.scores.h_score import h_score
from adapters.rank.scores.knn import knn
from adapters.rank.scores.leep import leep
from adapters.rank.scores.linear_probe import linear_probe
from adapters.rank.scores.logme import logme
from adapters.rank.scores.nce import nce
from adapters.rank.scores.transrate import transrate

FEATURE_SCORES = {
    "logme": logme, "h-score": h_score, "transrate": transrate, "gbc": gbc, "knn": knn, "linear-probe": linear_probe,
}  # fmt: skip
POSTERIOR_SCORES = {"leep": leep, "nce": nce}

__all__ = [
    "FEATURE_SCORES", "POSTERIOR_SCORES", "gbc", "h_score", "knn", "leep", "linear_probe", "logme", "nce", "transrate",
]  # fmt: skip
