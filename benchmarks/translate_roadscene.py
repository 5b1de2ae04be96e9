"""Infrared to visible on aligned pairs of road scenes: a translator beside three trivial answers, on pairs held out.

    python benchmarks/translate_roadscene.py FOLDER [--method translate/pix2pix ...] [--last] [--set KEY=VALUE ...]
    python benchmarks/translate_roadscene.py FOLDER --by-hand

FOLDER has infrared/ and visible/ with files of the same names. In the order of their names every fourth pair is the
test, or with --last the last quarter; of the rest a fifth is held out and chooses the epoch, by KID or what
eval.selection says. Methods that learn without pairs are shown both looks of the same images, unpaired. A table a run:
PSNR, SSIM, KID and the Frechet distance of the features named, with 95 % intervals over the images, and minutes of one
core. With --by-hand nothing is learned: KID of the infrared as it is, inverted, and of its detail on the mean image of
the look.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from adapters.translate.run.features import Features
from studio import run
from studio.core import registry
from studio.core.home import Home
from studio.metrics.translation import kid, psnr
from studio.store import Store

SIDE = 96  # pixels of the short side of answers by hand
KEYS = {
    "model.image_size": 128,
    "params.width": 32,
    "params.discriminator_width": 32,
    "train.batch_size": 4,
    "train.repeat": 8,
    "train.epochs": 10,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--method", nargs="*", default=["translate/pix2pix"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--last", action="store_true", help="the last quarter is the test")
    parser.add_argument("--by-hand", action="store_true", help="answers that nothing learned, by KID")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--keep", type=Path, help="a folder for the last run's grid of images")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        divided(asked.folder, Path(folder) / "data", asked.last)
        if asked.by_hand:
            by_hand(Path(folder) / "data")
            return 0
        for method in asked.method:
            for seed in range(asked.seeds):
                keys = {**KEYS, "method": method, "train.seed": seed, **data_of(method, Path(folder) / "data")}
                once({**keys, **dict(pair.split("=", 1) for pair in asked.set)}, Path(folder), asked.keep)
    return 0


def divided(folder: Path, out: Path, last: bool) -> None:
    """The pairs in train/ and test/, by the order of their names."""
    names = sorted(path.name for path in (folder / "infrared").iterdir())
    for number, name in enumerate(names):
        for look in ("infrared", "visible"):
            held = 4 * number >= 3 * len(names) if last else number % 4 == 3
            place = out / ("test" if held else "train") / look / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / look / name, place)


def by_hand(folder: Path) -> None:
    """Prints KID and PSNR of answers made from the infrared by hand, at a short side of SIDE pixels."""
    looks = {look: scaled(folder / "test" / look) for look in ("infrared", "visible")}
    width, height = looks["visible"][0].size
    learned = [np.asarray(image.resize((width, height)), float) for image in scaled(folder / "train" / "visible")]
    mean = Image.fromarray(np.mean(learned, axis=0).astype(np.uint8))
    answers = {
        "as it is": looks["infrared"],
        "inverted": [ImageOps.invert(image) for image in looks["infrared"]],
        "in the colours of the mean image": [on_mean(image, mean, None) for image in looks["infrared"]],
    }
    for reach in (4, 8, 16):
        name = f"detail up to {reach} pixels on the mean image"
        answers[name] = [on_mean(image, mean, reach) for image in looks["infrared"]]
    features = Features(registry.backbone("pip/tf_efficientnet_lite0"), "cpu")
    visible = [pixels(image) for image in looks["visible"]]
    real = features(visible)
    for name, images in answers.items():
        made = [pixels(image) for image in images]
        distance, half = kid(features(made), real)
        mean_psnr = np.mean([psnr(*pair) for pair in zip(made, visible, strict=True)])
        print(f"{name:42} KID {distance:.3f} +- {half:.3f}, PSNR {mean_psnr:.2f}", flush=True)


def scaled(folder: Path) -> list[Image.Image]:
    images = [Image.open(path).convert("RGB") for path in sorted(folder.iterdir())]
    return [image.resize([round(side * SIDE / min(image.size)) for side in image.size]) for image in images]


def on_mean(image: Image.Image, mean: Image.Image, reach: int | None) -> Image.Image:
    """The mean image with the image's detail up to `reach` pixels; with all of its light where that is None."""
    light, *colours = mean.resize(image.size).convert("YCbCr").split()
    own = image.convert("L")
    if reach:
        detail = np.asarray(own, float) - np.asarray(own.filter(ImageFilter.GaussianBlur(reach)), float)
        own = Image.fromarray(np.clip(np.asarray(light, float) + detail, 0, 255).astype(np.uint8))
    return Image.merge("YCbCr", [own, *colours]).convert("RGB")


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.uint8).transpose(2, 0, 1).copy()


def data_of(method: str, folder: Path) -> dict[str, str]:
    """Where a method finds its images."""
    pairs, test = f"pairs:{folder / 'train'}?a=infrared&b=visible", f"pairs:{folder / 'test'}?a=infrared&b=visible"
    if registry.get(method).paired:
        return {"data.train": pairs, "data.test": test}
    looks = {"source": "infrared", "target": "visible"}
    return {"data.test": test} | {f"data.{key}": f"images:{folder / 'train' / look}" for key, look in looks.items()}


def once(keys: dict, folder: Path, keep: Path | None) -> None:
    """Prints the table of one run."""
    begun, worked = time.monotonic(), time.process_time()
    home = Home.find(folder / "home")
    values = dict(keys)
    result = run("ir-to-visible", {**{"data.train": None, "data.test": None}, **values}, home=home)
    print(f"{keys['method']}, seed {keys['train.seed']}: {result.status} {result.error or ''}")
    done = Store(home).run(result.run)
    events = list(done.events())
    for note in (event["message"] for event in events if event["kind"] == "note"):
        if note.startswith("train.minutes"):
            print(note)
    table = next(event for event in events if event["kind"] == "table")
    print("".join(f"{name:>{42 if number == 0 else 10}}" for number, name in enumerate(table["columns"])))
    for name, *numbers in table["rows"]:
        print(f"{name:>42}" + "".join(f"{'' if value is None else format(value, '.4g'):>10}" for value in numbers))
    spent = (time.monotonic() - begun) / 60, (time.process_time() - worked) / 60
    print(
        f"epoch {result.metrics.get('best_epoch')} of {keys['train.epochs']} by {result.metrics['selection']}; "
        f"{spent[0]:.1f} min, {spent[1]:.1f} min of one core; features {result.metrics['features']}",
        flush=True,
    )
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        name = f"{keys['method'].replace('/', '-')}-{keys['train.seed']}.png"
        shutil.copy(done.path / "figures" / "samples.png", keep / name)


if __name__ == "__main__":
    sys.exit(main())
