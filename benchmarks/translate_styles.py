"""Style transfer measured: how far the style loss falls, how long an image takes, and what comes out.

    python benchmarks/translate_styles.py STYLES [--method gatys|instant-style] [--pairs 2] [--out DIR]
    python benchmarks/translate_styles.py STYLES --method adain|fast-style --photos images:FOLDER [--minutes 4]
    python benchmarks/translate_styles.py STYLES --method adain|fast-style --home DIR --checkpoint last

STYLES holds content/ and style/; `drawn` are composed scenes and drawn textures. Each style meets one content image in
turn, at `--size` pixels of the short side. Of `gatys` it prints the style loss of Gatys et al. (layers relu1_1 to
relu5_1, each relative to the style's) before and after `--steps` steps and their ratio. `adain` and `fast-style` are
trained first, on crops of `--photos` and all styles or one (`--style`), and scored by their own style loss; with
--home the checkpoint is kept, and --checkpoint shows one again. Of every method it prints the seconds an image takes
once the style is known. With --out it writes each content, style and result side by side.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor

from adapters.translate.data.decoded import to_canvas
from adapters.translate.film_filter import canvas
from adapters.translate.style.base import Stylist
from studio import load_checkpoint, run
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.home import Home
from studio.data import open_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", type=Path)
    parser.add_argument("--method", default="gatys")
    parser.add_argument("--features", default="pip/hed_vgg16")
    parser.add_argument("--optimizer", default="adam", choices=["adam", "lbfgs"])
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--photos", help="images to train adain or fast-style on, such as images:FOLDER")
    parser.add_argument("--minutes", type=float, default=4, help="of their training")
    parser.add_argument("--crop", type=int, default=128, help="pixels a side of what they are trained on")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--style", help="the name of the one style of fast-style; default: the first")
    parser.add_argument("--home", type=Path, help="a folder that keeps the trained checkpoint")
    parser.add_argument("--checkpoint", help="one of --home, instead of training")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show(asked, Path(folder))


def show(asked: argparse.Namespace, folder: Path) -> None:
    """Prints a row for each style that meets a content image; `folder` is for what need not be kept."""
    place = drawn(folder / "drawn") if asked.styles == Path("drawn") else asked.styles
    contents, styles = (sorted((place / name).iterdir()) for name in ("content", "style"))
    trained = None
    if asked.checkpoint:
        trained = load_checkpoint(asked.checkpoint, Home.find(asked.home)).predictor.learner
    if asked.method == "fast-style":
        styles = [next(path for path in styles if asked.style in (None, path.stem))] * asked.pairs
    if asked.photos:
        trained = train(asked, styles, folder)
    for number, style in enumerate(styles[: asked.pairs]):
        content = contents[number % len(contents)]
        row = measured(asked, trained or stylist(asked), content, style)
        print(f"{content.stem:14} {style.stem:20} {row}", flush=True)


def drawn(folder: Path) -> Path:
    """Composed scenes in content/ and textures in style/, made here, so that they may be shown anywhere."""
    for name in ("content", "style"):
        (folder / name).mkdir(parents=True)
    for number, item in enumerate(open_data("builtin:scenes?images=4&size=256&classes=3").items):
        Image.fromarray(item.source.read()).save(folder / "content" / f"scene{number}.png")
    x, y = np.meshgrid(*[np.linspace(0, 1, 256)] * 2)
    bent = x + y + 0.08 * np.sin(9 * x - 5 * y) + 0.05 * np.sin(14 * y + 6 * x)
    levels = {
        "bands": np.sin(38 * bent) + 0.5 * np.sin(57 * (x - y)),
        "cells": np.sin(45 * x + 3 * np.sin(11 * y)) * np.sin(45 * y + 3 * np.sin(9 * x)),
        "strokes": np.sin(24 * (x - 0.4 * y) + 2.5 * np.sin(31 * y) + np.sin(77 * x)),
    }
    palettes = {
        "bands": ["#16264c", "#2f8076", "#f0e6d2", "#dd7f2b"],
        "cells": ["#7a1f3d", "#e8b04a", "#f6efe0", "#2b5d8a"],
        "strokes": ["#0f3b2e", "#5fa052", "#e9dfa1", "#b2452c"],
    }
    for name, level in levels.items():
        colours = np.array([ImageColor.getrgb(colour) for colour in palettes[name]], np.uint8)
        scaled = (level - level.min()) / (level.max() - level.min())
        Image.fromarray(colours[np.minimum((scaled * 4).astype(int), 3)]).save(folder / "style" / f"{name}.png")
    return folder


def train(asked: argparse.Namespace, styles: list[Path], folder: Path) -> Stylist:
    """A network trained for one style or many, and brought back from its checkpoint."""
    home = Home.find(asked.home or folder / "home")
    shown = home.root / f"styles-of-{asked.method}"
    shown.mkdir(parents=True, exist_ok=True)
    for style in set(styles):
        shutil.copy(style, shown)
    recipe = {
        "task": "translate", "method": f"translate/{asked.method}", "device": "cpu",
        "data": {"source": asked.photos, "target": f"images:{shown}", "short_side": max(asked.size, asked.crop)},
        "params": {"features": asked.features}, "model": {"image_size": asked.crop},
        "train": {"minutes": asked.minutes, "epochs": 1000, "batch_size": asked.batch, "lr": asked.lr},
    }  # fmt: skip
    result = run(recipe, home=home)
    losses = " to ".join(f"{result.metrics[name]:.3f}" for name in ("style_loss_before", "style_loss"))
    print(f"{result.checkpoint}: {asked.minutes:g} minutes; style loss of held-out photos {losses}", flush=True)
    return load_checkpoint(result.checkpoint, home).predictor.learner


def measured(asked: argparse.Namespace, learner: Stylist, content: Path, style: Path) -> str:
    """A row for one content image in one style."""
    image, other = (pixels(path, asked.size) for path in (content, style))
    if learner.any_style:
        learner.learn_style([other[0]])
    begun = time.monotonic()
    with torch.no_grad():
        made = learner.stylize(image)
    seconds = time.monotonic() - begun
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        side_by_side([image, other, made]).save(
            asked.out / f"{asked.method}-{content.stem}-{style.stem}.jpg", quality=82
        )
    before, after = learner.style_loss_of(image), learner.style_loss_of(made)
    if before is None:
        return f"{seconds:.2f} s"
    ratio = float(after) / float(before)
    return f"style loss {float(before):7.3f} to {float(after):.3f}, ratio {ratio:.3f}, {seconds:.1f} s"


def stylist(asked: argparse.Namespace) -> Stylist:
    """The method, ready to look at a style."""
    cls = registry.get(f"translate/{asked.method}")
    given = {"features": asked.features, "steps": asked.steps, "optimizer": asked.optimizer}
    learner = cls(cls.Params(**{key: value for key, value in given.items() if key in cls.Params.model_fields}))
    learner.setup(LearnerContext(None, []))
    return learner


def pixels(path: Path, short: int) -> torch.Tensor:
    """[1, 3, h, w] in 0..1."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    return torch.from_numpy(to_canvas(rgb, canvas(rgb.size, short)))[None].float() / 255


def side_by_side(images: list[torch.Tensor]) -> Image.Image:
    """Images [1, 3, h, w] at the height of the first."""
    arrays = [Image.fromarray((image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)) for image in images]
    height = arrays[0].height
    scaled = [image.resize((round(image.width * height / image.height), height)) for image in arrays]
    sheet = Image.new("RGB", (sum(image.width for image in scaled), height))
    left = 0
    for image in scaled:
        sheet.paste(image, (left, 0))
        left += image.width
    return sheet


if __name__ == "__main__":
    main()
