"""What a machine without a GPU spends its time on, each beside its peer, in one process, in turn.

    python benchmarks/two_cores.py PART [PART ...] [--rounds 5] [--folder FOLDER] [--images 100000]

Parts: decode, augment, predict, open; for the training step of a ViT see benchmarks/training_loop.py, of detectors
benchmarks/detect_speed.py. Each round times both, which goes first alternates; printed are medians, and the median of
the rounds' ratios peer / ours: above 1, ours is quicker. By the clock, on photos that scikit-learn brings, unless said.

decode   JPEGs of 12 megapixels for a network of 224 pixels: `read_image`, beside Pillow in full and libjpeg-turbo by
         torchvision in full, each then resized
augment  a batch of 32: the studio's crops and mirrors, beside torchvision's v2 transforms on the same tensors
predict  1,000 files of 500 x 375 pixels through lite0: `load_checkpoint(...).predict`, beside a loop of Pillow, timm's
         transform and the network in batches of 16
open     FOLDER of `--images` files, whose headers are checked: `open_data`, beside torchvision's ImageFolder, which
         opens no file, and ImageFolder with Pillow opening each
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.datasets import ImageFolder
from torchvision.io import decode_jpeg
from torchvision.transforms import v2

from benchmarks.embed_many import make_folder
from studio import load_checkpoint, run
from studio.core.home import Home
from studio.data import open_data, read_image
from studio.data.preprocess import Preprocess
from studio.data.transforms import augment, normalize, to_input

SIDE, BATCH, LITE0 = 224, 32, "pip/tf_efficientnet_lite0"
Task = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=sorted(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="of `open`; made where it is not there")
    parser.add_argument("--images", type=int, default=100_000, help="of `open`")
    args = parser.parse_args()
    for part in args.parts:
        with tempfile.TemporaryDirectory() as scratch:
            PARTS[part](args, Path(scratch))


def beside(name: str, unit: int, ours: Task, peers: dict[str, Task], rounds: int) -> None:
    """Prints milliseconds a unit of each, and each peer's over ours."""
    tasks = {"ours": ours, **peers}
    taken: dict[str, list[float]] = {key: [] for key in tasks}
    for number in range(rounds):
        for key in list(tasks)[:: -1 if number % 2 else 1]:
            begun = time.perf_counter()
            tasks[key]()
            taken[key].append(1e3 * (time.perf_counter() - begun) / unit)
    row: dict[str, Any] = {"part": name, "rounds": rounds, "threads": torch.get_num_threads()}
    for key, times in taken.items():
        row[f"{key}, ms"] = round(statistics.median(times), 3)
    for key in peers:
        ratios = [peer / own for peer, own in zip(taken[key], taken["ours"], strict=True)]
        row[f"{key} / ours"] = round(statistics.median(ratios), 2)
    print(json.dumps(row), flush=True)


def decode(args: argparse.Namespace, scratch: Path) -> None:
    raws = [jpeg(Image.fromarray(scene).resize((4000, 2672))) for scene in load_sample_images().images]
    resize, look = v2.Resize(SIDE, antialias=True), Preprocess(image_size=SIDE)

    def ours() -> None:
        for raw in raws:
            to_input(read_image(raw, min_side=SIDE), look)

    def pillow() -> None:
        for raw in raws:
            to_input(Image.open(io.BytesIO(raw)).convert("RGB"), look)

    def turbo() -> None:
        for raw in raws:
            resize(decode_jpeg(torch.frombuffer(bytearray(raw), dtype=torch.uint8)))

    beside("decode", len(raws), ours, {"Pillow in full": pillow, "torchvision in full": turbo}, args.rounds)


def augmenting(args: argparse.Namespace, scratch: Path) -> None:
    look, side = Preprocess(image_size=SIDE), round(1.15 * SIDE)
    images = [
        to_input(Image.fromarray(scene).resize((500, 375)), look, side / SIDE) for scene in load_sample_images().images
    ]
    batch = torch.stack([images[number % 2] for number in range(BATCH)])
    peer = v2.Compose([
        v2.RandomResizedCrop(SIDE, (0.35, 1.0), antialias=True), v2.RandomHorizontalFlip(),
        v2.ToDtype(torch.float32, scale=True), v2.Normalize(look.mean, look.std),
    ])  # fmt: skip
    draw = torch.Generator().manual_seed(0)
    beside(
        "augment", BATCH, lambda: augment(batch, look, draw),
        {"torchvision": lambda: torch.stack([peer(image) for image in batch])}, args.rounds,
    )  # fmt: skip


def predict(args: argparse.Namespace, scratch: Path) -> None:
    files, home = photos(scratch / "photos", 1000), Home.find(scratch / "home")
    recipe = {
        "method": "finetune/linear-probe", "model": {"backbone": LITE0}, "device": "cpu",
        "data": {"train": "builtin:digits?per_class=4"}, "train": {"epochs": 1},
    }  # fmt: skip
    model = load_checkpoint(run(recipe, home=home).checkpoint, home, device="cpu")
    network = model.predictor.module().eval()
    look = Preprocess.from_dict(model.checkpoint.manifest.preprocess)
    peer = v2.Compose([
        v2.Resize(int(look.image_size / look.crop_pct), v2.InterpolationMode.BICUBIC), v2.CenterCrop(look.image_size),
        v2.PILToTensor(),
    ])  # fmt: skip

    def plain() -> None:
        for first in range(0, len(files), 16):
            images = [peer(Image.open(file).convert("RGB")) for file in files[first : first + 16]]
            with torch.inference_mode():
                network(normalize(torch.stack(images), look)).softmax(1)

    beside("predict", len(files), lambda: model.predict(files), {"plain loop": plain}, args.rounds)


def opening(args: argparse.Namespace, scratch: Path) -> None:
    folder = args.folder or scratch / "photos"
    make_folder(folder, args.images, 32)

    def headers() -> None:
        for path, _ in ImageFolder(str(folder)).samples:
            with Image.open(path) as image:
                _ = image.size

    peers = {"ImageFolder": lambda: ImageFolder(str(folder)), "ImageFolder and headers": headers}
    beside("open", args.images, lambda: open_data(f"folder:{folder}"), peers, args.rounds)


def photos(folder: Path, count: int) -> list[str]:
    """JPEGs of 500 x 375 pixels, each another part of a photo."""
    folder.mkdir()
    scenes, draw = [Image.fromarray(scene) for scene in load_sample_images().images], np.random.default_rng(0)
    for number in range(count):
        left, top = (int(draw.integers(0, 100)) for _ in range(2))
        scene = scenes[number % 2].resize((500, 375), box=(left, top, left + 500, top + 320))
        (folder / f"{number}.jpg").write_bytes(jpeg(scene))
    return sorted(str(path) for path in folder.iterdir())


def jpeg(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, "JPEG", quality=90)
    return target.getvalue()


PARTS = {"decode": decode, "augment": augmenting, "predict": predict, "open": opening}


if __name__ == "__main__":
    main()
