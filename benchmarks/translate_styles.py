"""Style transfer measured: how far the style loss falls, how long an image takes, and what comes out.

    python benchmarks/translate_styles.py STYLES [--method gatys|instant-style] [--pairs 2] [--out DIR]
    python benchmarks/translate_styles.py STYLES --method adain|fast-style --photos images:FOLDER [--minutes 4]

STYLES holds content/ and style/. Each style meets one content image in turn, at `--size` pixels of the short side. Of
`gatys` it prints the style loss of Gatys et al. (layers relu1_1 to relu5_1, each relative to the style's) before and
after `--steps` steps and their ratio. `adain` and `fast-style` are trained first, on `--photos` and all styles or the
first alone, and scored by their own style loss. Of every method it prints the seconds an image takes once the style is
known. With --out it writes each content, style and result side by side.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from adapters.translate.data.decoded import to_canvas
from adapters.translate.film_filter import canvas
from adapters.translate.style.base import Stylist
from studio import load_checkpoint, run
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.home import Home


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
    asked = parser.parse_args()
    contents, styles = (sorted((asked.styles / name).iterdir()) for name in ("content", "style"))
    one_style = asked.method == "fast-style"
    trained = train(asked, styles[:1] if one_style else styles) if asked.photos else None
    for number, style in enumerate(styles[: asked.pairs]):
        content, style = contents[number % len(contents)], styles[0] if one_style else style
        row = measured(asked, trained or stylist(asked), content, style)
        print(f"{content.stem:14} {style.stem:20} {row}", flush=True)


def train(asked: argparse.Namespace, styles: list[Path]) -> Stylist:
    """A network trained for one style or many, and brought back from its checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        shown = Path(folder) / "styles"
        shown.mkdir()
        for style in styles:
            shutil.copy(style, shown)
        return _trained(asked, shown, Home.find(Path(folder) / "home"), 0.001 if len(styles) == 1 else 0.0003)


def _trained(asked: argparse.Namespace, styles: Path, home: Home, lr: float) -> Stylist:
    recipe = {
        "task": "translate", "method": f"translate/{asked.method}", "device": "cpu",
        "data": {"source": asked.photos, "target": f"images:{styles}"}, "params": {"features": asked.features},
        "model": {"image_size": asked.size},
        "train": {"minutes": asked.minutes, "epochs": 1000, "batch_size": 2, "lr": lr},
    }  # fmt: skip
    result = run(recipe, home=home)
    losses = " to ".join(f"{result.metrics[name]:.3f}" for name in ("style_loss_before", "style_loss"))
    print(f"trained for {asked.minutes:g} minutes; style loss of held-out photos {losses}", flush=True)
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
