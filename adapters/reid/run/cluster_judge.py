"""After each epoch the target's images are clustered anew; how many clusters there are is watched, without labels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from adapters.reid.clusterer import Clusterer
from adapters.reid.clustering import Neighbours, of_one_camera, silhouette
from adapters.reid.run.camera_statistics import centred
from adapters.reid.run.embedding import Eye, embed_pixels
from studio.core.errors import UsageError
from studio.core.procedure import Job
from studio.figures.retrieval import CLUSTER_NUMBERS

MOST_LEFT_OUT = 0.5  # of the images, from which it is warned of
MOST_OF_ONE_CAMERA = 0.5  # of the clustered images, from which it is warned of
JUMP = 2.0  # by which factor the number of clusters may change in an epoch before it is warned of


class ClusterJudge:
    """`evaluate` is what the loop calls after each epoch: numbers by name; `score` as eval.selection says."""

    def __init__(
        self, job: Job, learner: Clusterer, eye: Eye, pixels: np.ndarray, cameras: list[str],
        labelled: Callable[[], dict[str, float]],
    ) -> None:  # fmt: skip
        """`labelled` gives further numbers, among them a score where labels may choose."""
        self.job, self.learner, self.eye, self.pixels = job, learner, eye, pixels
        self.cameras, self.labelled = cameras, labelled
        self.count = 0  # of the clusters before
        self.warned: set[str] = set()

    def evaluate(self) -> dict[str, float]:
        """Raises UsageError where there are fewer than two clusters at the start."""
        learner, params = self.learner, self.learner.params
        learner.train_mode(False)
        features = embed_pixels(self.eye, self.pixels, self.cameras)
        held = torch.from_numpy(features)
        compared = held
        if params.by_camera in ("mean", "neighbours"):
            compared = torch.from_numpy(centred(features, self.cameras))
        apart = np.unique(self.cameras, return_inverse=True)[1] if params.by_camera == "neighbours" else None
        neighbours = Neighbours.of(compared, learner.reach, params.k1, params.k2, self.job.device, apart)
        clusters = learner.clusters(neighbours)
        numbers = {
            "clusters": float(clusters.count), "left_out": clusters.left_out,
            "silhouette": silhouette(features, clusters, self.job.recipe.train.seed),
        }  # fmt: skip
        if len(set(self.cameras)) > 1:
            numbers["one_camera"] = of_one_camera(clusters, self.cameras)
        self._watch(clusters.count, clusters.left_out, numbers.get("one_camera", 0.0))
        if clusters.count > 1:
            learner.follow(held, clusters)
            self.count = clusters.count
        numbers = {**self.labelled(), **numbers}
        if self.job.recipe.eval.selection == "label-free":
            numbers["score"] = numbers["silhouette"] if clusters.count > 1 else -np.inf
        return numbers

    def _watch(self, count: int, left_out: float, one_camera: float = 0.0) -> None:
        """Warns, once a kind, of clusters that hardly can stand for individuals."""
        params, images = self.learner.params, len(self.pixels)
        if count < 2:
            words = (
                f"{images} images of the target fall into {count} cluster{'s' * (count != 1)}, {left_out:.0%} of them "
                f"into none; at least two are needed. Try another params.eps (now {params.eps:g}; larger joins more), "
                f"a smaller params.least (now {params.least}) or params.k1 (now {params.k1}), or begin from a source."
            )
            if not self.count:
                raise UsageError(words)
            self._warn("few", f"{words} The clusters before are kept.")
        if left_out > MOST_LEFT_OUT:
            self._warn(
                "left out",
                f"{left_out:.0%} of the target's images are in no cluster and teach nothing. A larger params.eps (now "
                f"{params.eps:g}) or a smaller params.least (now {params.least}) takes in more.",
            )
        if one_camera > MOST_OF_ONE_CAMERA:
            advice = "params.by_camera: mean" if params.by_camera == "none" else "a larger params.eps"
            self._warn(
                "one camera",
                f"{one_camera:.0%} of the clustered images are in a cluster of one camera alone: whoever is a cluster "
                f"for each camera teaches that cameras differ. Try {advice}, or begin from a source.",
            )
        if self.count and count > 1 and max(count / self.count, self.count / count) > JUMP:
            self._warn(
                "jump",
                f"From one epoch to the next {self.count} clusters became {count}: what stands for an individual is "
                "not stable. A smaller train.lr, or more images, may help.",
            )

    def _warn(self, kind: str, words: str) -> None:
        if kind not in self.warned:
            self.job.events.warning(words)
            self.warned.add(kind)


def cluster_table(history: list[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Columns, and a row an epoch: what was watched of the clusters."""
    watched = [name for name in CLUSTER_NUMBERS if name in history[0]]
    rows = [[entry["epoch"], *(round(entry[name], 4) for name in watched)] for entry in history]
    return ["epoch", *(CLUSTER_NUMBERS[name] for name in watched)], rows
