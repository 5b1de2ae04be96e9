"""Few-shot heads side by side with easyfsl: the same cached features, one process, ratios.

    python benchmarks/fewshot_heads.py               prototypes and PT-MAP against easyfsl's evaluation loop
    python benchmarks/fewshot_heads.py --scale       1,000 to 100,000 episodes: time each, memory
    python benchmarks/fewshot_heads.py --changeover  where looking up inner products stops paying

Features are made up: 20 classes of 50 images, non-negative as a rectified backbone gives them. Drawing the episodes
is part of every time. easyfsl 1.5.0's TaskSampler calls `Sampler.__init__(data_source=None)`, which current torch
refuses; that call is made to do nothing here, and the rest of easyfsl is as published.
"""

import argparse
import random
import statistics
import time

import numpy as np
import psutil
import torch
from torch import Tensor

from fewshot.episodes import EpisodeSampler
from fewshot.evaluate import EpisodeScores, Pools, evaluate
from fewshot.heads.prototypes import Prototypes
from fewshot.heads.pt_map import PTMAP
from studio.core.faces import EpisodeHead
from studio.metrics import mean_ci95

WAYS, SHOTS, QUERIES = 5, 5, 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--changeover", action="store_true")
    parser.add_argument("--peer-tasks", type=int, default=200, help="tasks to time easyfsl's prototypes on")
    parser.add_argument("--rounds", type=int, default=3, help="paired rounds; the median ratio is printed")
    args = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {WAYS}-way {SHOTS}-shot {QUERIES} queries")
    if args.scale:
        scale()
    elif args.changeover:
        changeover()
    else:
        for width in (640, 1280):
            for episodes in (1_000, 10_000):
                against_easyfsl("prototypes", width, Prototypes(), args.peer_tasks, episodes, args.rounds)
        head = PTMAP(PTMAP.Params(normalize="l2", steps=10))
        against_easyfsl("pt-map", 640, head, args.peer_tasks, 1_000, args.rounds)


def make(images: int, width: int, per_class: int = 50) -> tuple[Tensor, np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    labels = np.repeat(np.arange(images // per_class), per_class)
    centers = 0.3 * torch.randn(images // per_class, width, generator=generator)
    return (centers[labels] + torch.randn(len(labels), width, generator=generator)).relu(), labels


def ours(head: EpisodeHead, features: Tensor, labels: np.ndarray, episodes: int, **options) -> EpisodeScores:
    names = [str(c) for c in range(labels.max() + 1)]
    source = EpisodeSampler(labels, names, ways=WAYS, shots=SHOTS, queries=QUERIES, episodes=episodes)
    return evaluate(head, source, Pools(features), **options)


def against_easyfsl(name: str, width: int, head: EpisodeHead, tasks: int, episodes: int, rounds: int) -> None:
    features, labels = make(1000, width)
    ours(head, features, labels, 100)  # warm up
    easyfsl(name, features, labels, 2)
    ratios, paces = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        peer_accuracy = easyfsl(name, features, labels, tasks)
        peer_s = (time.perf_counter() - began) / tasks
        began = time.perf_counter()
        result = ours(head, features, labels, episodes)
        our_s = (time.perf_counter() - began) / episodes
        ratios.append(peer_s / our_s)
        paces.append(f"{1e3 * peer_s:.2f} / {1e3 * our_s:.4f} ms")
    mean, half = result.interval
    _, peer_half = mean_ci95(peer_accuracy)
    print(
        f"{name} {width}-d, {episodes} episodes: {statistics.median(ratios):.0f} times easyfsl "
        f"({', '.join(paces)} an episode, by "
        f"{result.by}); accuracy {mean:.4f} +- {half:.4f}, easyfsl {np.mean(peer_accuracy):.4f} +- {peer_half:.4f}"
    )


def easyfsl(name: str, features: Tensor, labels: np.ndarray, tasks: int) -> list[float]:
    """easyfsl's own loop (`easyfsl.utils.evaluate`), a task a call so that accuracies are kept."""
    from easyfsl.datasets import FeaturesDataset
    from easyfsl.methods import PTMAP as PeerPTMAP
    from easyfsl.methods import PrototypicalNetworks
    from easyfsl.samplers import TaskSampler
    from easyfsl.utils import evaluate_on_one_task
    from torch.utils.data import DataLoader, Sampler

    Sampler.__init__ = lambda self, data_source=None: None
    random.seed(0)
    dataset = FeaturesDataset(labels.tolist(), features, [str(c) for c in range(labels.max() + 1)])
    sampler = TaskSampler(dataset, n_way=WAYS, n_shot=SHOTS, n_query=QUERIES, n_tasks=tasks)
    loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=sampler.episodic_collate_fn)
    model = PrototypicalNetworks() if name == "prototypes" else unit_length(PeerPTMAP)()
    model.eval()
    accuracies = []
    with torch.no_grad():
        for support, support_labels, query, query_labels, _ in loader:
            right, total = evaluate_on_one_task(model, support, support_labels, query, query_labels)
            accuracies.append(right / total)
    return accuracies


def unit_length(peer: type) -> type:
    """PT-MAP as its paper has it: unit length after the power transform, which easyfsl leaves out."""

    class UnitLength(peer):
        def compute_features(self, images):
            return torch.nn.functional.normalize(super().compute_features(images), dim=1)

    return UnitLength


def scale() -> None:
    features, labels = make(1000, 640)
    process = psutil.Process()
    ours(Prototypes(), features, labels, 1000)
    before = process.memory_info().rss
    for use_gram in (True, False):
        for episodes in (1_000, 10_000, 100_000):
            result = ours(Prototypes(), features, labels, episodes, use_gram=use_gram)
            grown = (process.memory_info().rss - before) / 2**20
            print(
                f"{result.by}: {episodes} episodes in {result.seconds:.3f} s, "
                f"{1e6 * result.seconds / episodes:.1f} us each, {grown:.1f} MB more than at the start"
            )


def changeover() -> None:
    print("images  width  episodes  looked up [s]  gathered [s]  faster    chosen")
    for width in (640, 1280):
        for images in (500, 1000, 2000, 4000, 8000):
            features, labels = make(images, width)
            for episodes in (600, 5_000):
                gram, gathered = (
                    min(ours(Prototypes(), features, labels, episodes, use_gram=use).seconds for _ in range(3))
                    for use in (True, False)
                )
                chosen = Pools(features).gram_pays(episodes * WAYS * (SHOTS + QUERIES))
                faster = "look-up" if gram < gathered else "gather"
                print(
                    f"{images:6d} {width:6d} {episodes:9d} {gram:14.3f} {gathered:13.3f}  {faster:8s}  "
                    f"{'look-up' if chosen else 'gather'}"
                )


if __name__ == "__main__":
    main()
