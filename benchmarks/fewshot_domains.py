"""The table of heads on a folder of domains: 5-way 1-shot and 5-shot in each, and from one to another.

    python benchmarks/fewshot_domains.py FOLDER [--across photo sketch] [--episodes 600]

FOLDER holds a folder a domain, and in it a folder a class, as PACS does. Every head has its default parameters and
sees the same episodes of a column; a cell is the mean accuracy and its 95% half-width, in percent. Prints markdown.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from fewshot.compare import chosen_heads, looks_at
from fewshot.episodes import EpisodeSampler
from fewshot.evaluate import Pools, evaluate
from studio.core import registry
from studio.core.home import Home
from studio.data import open_data
from studio.data.features.cache import extract


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--across", nargs=2, metavar=("SUPPORT", "QUERY"), default=("photo", "sketch"))
    parser.add_argument("--backbone", default="pip/tf_efficientnet_lite0")
    parser.add_argument("--episodes", type=int, default=600)
    args = parser.parse_args()
    home = Home.find()
    backbone = registry.backbone(args.backbone, home=home)
    domains = {}
    for path in sorted(folder for folder in args.folder.iterdir() if folder.is_dir()):
        features, kept = extract(open_data(f"folder:{path}"), backbone, home=home)
        domains[path.name] = (torch.from_numpy(features), kept.labels, kept.classes)

    pairs = [(name, name) for name in domains] + [tuple(args.across)]
    columns = [(support, query, shots) for support, query in pairs for shots in (1, 5)]
    titles = [f"{s if s == q else f'{s} to {q}'} {shots}-shot" for s, q, shots in columns]
    print(f"| head | {' | '.join(titles)} | looks at |")
    print("|---" * (len(columns) + 2) + "|")
    for head in chosen_heads([]):
        cells = [
            cell(head, domains[s], domains[q] if q != s else None, shots, args.episodes) for s, q, shots in columns
        ]
        print(f"| {head.id.split('/')[1]} | {' | '.join(cells)} | {looks_at(head)} |", flush=True)


def cell(head, support: tuple, query: tuple | None, shots: int, episodes: int) -> str:
    features, labels, classes = support
    others, other_labels = (None, None) if query is None else (query[0], _in(classes, query))
    source = EpisodeSampler(
        labels, classes, ways=5, shots=shots, queries=15, episodes=episodes, query_labels=other_labels
    )
    mean, half = evaluate(head, source, Pools(features, others)).interval
    return f"{100 * mean:.1f} ± {100 * half:.1f}"


def _in(classes: list[str], query: tuple) -> np.ndarray:
    """The query's labels as indices into the support's classes."""
    place = np.array([classes.index(name) for name in query[2]])
    return place[query[1]]


if __name__ == "__main__":
    main()
