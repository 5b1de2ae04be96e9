"""Masks: images/ and masks/ with one PNG of class numbers an image, and `classes.txt`; `masks:` reads them."""

from pathlib import Path

from PIL import Image

from studio.data.items import Dataset
from studio.data.writers.copied_images import copied

TRUTHS = ("masks",)


def write(dataset: Dataset, out: Path) -> None:
    """A pixel's value is its class's line in classes.txt, counted from 0; 255 is not known."""
    (out / "masks").mkdir()
    for copy in copied(dataset, out / "images"):
        Image.fromarray(copy.item.mask.read()).save(out / "masks" / f"{copy.path.stem}.png")
    (out / "classes.txt").write_text("".join(f"{name}\n" for name in dataset.classes), encoding="utf-8")
