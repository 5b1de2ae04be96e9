"""From a folder of JPEGs to the accuracy of many tasks with EfficientNet-Lite0, beside easyfsl.

    python benchmarks/fewshot_folder.py [--images 1000] [--tasks 1000] [--peer-tasks 5]

easyfsl opens and embeds every image of a task at every draw. Its time is measured on a few tasks and multiplied, since
each costs the same; ours is measured whole, from an empty cache: reading, embedding, drawing and scoring.
The folder is made of random JPEGs, 20 classes; the preprocessing and the network are the same on both sides.
easyfsl's TaskSampler calls `Sampler.__init__(data_source=None)`, which current torch refuses; it does nothing here.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fewshot.episodes import EpisodeSampler
from fewshot.evaluate import Pools, evaluate
from fewshot.heads.prototypes import Prototypes
from studio.core import registry
from studio.core.home import Home
from studio.data import open_data, read_image
from studio.data.features.cache import extract
from studio.data.transforms import normalize, to_input

WAYS, SHOTS, QUERIES, CLASSES = 5, 5, 15, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--peer-tasks", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Home.find(Path(scratch) / "home")
        make_folder(Path(scratch) / "photos", args.images)
        backbone = registry.backbone("pip/tf_efficientnet_lite0", home=home)
        peer_s = easyfsl(Path(scratch) / "photos", backbone, args.peer_tasks) * args.tasks
        our_s = ours(Path(scratch) / "photos", backbone, home, args.tasks)
    print(
        f"{args.tasks} tasks from {args.images} JPEGs, {torch.get_num_threads()} threads: {our_s:.1f} s, easyfsl "
        f"{peer_s:.0f} s ({args.peer_tasks} tasks measured): {peer_s / our_s:.0f} times"
    )


def make_folder(folder: Path, images: int) -> None:
    draw = np.random.default_rng(0)
    for number in range(images):
        place = folder / f"class{number % CLASSES:02d}"
        place.mkdir(parents=True, exist_ok=True)
        small = draw.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(small).resize((400, 300), Image.Resampling.BICUBIC).save(place / f"{number}.jpg")


def ours(folder: Path, backbone: torch.nn.Module, home: Home, tasks: int) -> float:
    began = time.perf_counter()
    features, kept = extract(open_data(f"folder:{folder}"), backbone, home=home)
    source = EpisodeSampler(kept.labels, kept.classes, ways=WAYS, shots=SHOTS, queries=QUERIES, episodes=tasks)
    evaluate(Prototypes(), source, Pools(torch.from_numpy(features)))
    return time.perf_counter() - began


def easyfsl(folder: Path, backbone: torch.nn.Module, tasks: int) -> float:
    """Seconds a task of easyfsl's loop over a FewShotDataset of the same images and transform."""
    from easyfsl.datasets import FewShotDataset
    from easyfsl.methods import PrototypicalNetworks
    from easyfsl.samplers import TaskSampler
    from easyfsl.utils import evaluate as peer_evaluate
    from torch.utils.data import DataLoader, Sampler

    class Photos(FewShotDataset):
        def __init__(self) -> None:
            self.data = open_data(f"folder:{folder}")

        def __len__(self) -> int:
            return len(self.data)

        def get_labels(self) -> list[int]:
            return self.data.labels.tolist()

        def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
            item = self.data.items[number]
            pixels = to_input(read_image(item.source, item.name), backbone.preprocess)
            return normalize(pixels[None], backbone.preprocess)[0], item.label

    Sampler.__init__ = lambda self, data_source=None: None
    random.seed(0)
    dataset = Photos()
    sampler = TaskSampler(dataset, n_way=WAYS, n_shot=SHOTS, n_query=QUERIES, n_tasks=tasks)
    loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=sampler.episodic_collate_fn)
    began = time.perf_counter()
    peer_evaluate(PrototypicalNetworks(backbone), loader, device="cpu", use_tqdm=False)
    return (time.perf_counter() - began) / tasks


if __name__ == "__main__":
    main()
