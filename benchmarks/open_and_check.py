"""Opening, checking and decoding images: what each costs, and what near-copy search finds.

    python benchmarks/open_and_check.py FOLDER [--rounds 5]

FOLDER holds photos in class folders. Prints milliseconds an image (best of the rounds) and ratios:
a zip beside its folder; JPEGs of 12 megapixels decoded for a 224-pixel network beside decoded in full,
with the difference in dB once resized; and the part of altered copies that `data check` would find.
"""

import argparse
import io
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from studio.data import check, open_data, read_image
from studio.data.checks.fingerprints import fingerprint_of, near_groups

ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG quality 20": lambda image: read_image(_jpeg(image, 20)),
    "half size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC),
    "squashed to 224 x 224": lambda image: image.resize((224, 224)),
    "brighter by a fifth": lambda image: image.point([min(255, round(1.2 * value)) for value in range(256)] * 3),
    "cropped by 5% a side": lambda image: image.crop(
        tuple(round(part * side) for part, side in zip((0.05, 0.05, 0.95, 0.95), image.size * 2, strict=True))
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    _opening(args.folder, args.rounds)
    _decoding(args.rounds)
    _near_copies(args.folder)


def _opening(folder: Path, rounds: int) -> None:
    count = len(open_data(f"folder:{folder}"))
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "photos.zip"
        with zipfile.ZipFile(file, "w") as archive:
            for path in folder.rglob("*"):
                archive.write(path, path.relative_to(folder))
        opened, zipped = _best([lambda: open_data(f"folder:{folder}"), lambda: open_data(f"zip:{file}")], rounds)
    (checked,) = _best([lambda: check(f"folder:{folder}")], rounds)
    print(f"open   {1e3 * opened / count:.3f} ms an image, from a zip {zipped / opened:.2f} times that; {count} images")
    print(f"check  {1e3 * checked / count:.2f} ms an image, {checked:.2f} s in all")


def _decoding(rounds: int) -> None:
    for scene in load_sample_images().images:
        raw = _jpeg(Image.fromarray(scene).resize((4000, 2672), Image.Resampling.BICUBIC), 90)
        full, reduced = _best([lambda raw=raw: _input(raw, None), lambda raw=raw: _input(raw, 224)], rounds)
        noise = np.mean((_input(raw, None) - _input(raw, 224)) ** 2)
        print(f"decode {1e3 * reduced:.1f} ms for 224 pixels, {full / reduced:.1f} times as fast as in full; "
              f"{10 * np.log10(255**2 / noise):.1f} dB apart")  # fmt: skip


def _near_copies(folder: Path, most: int = 200) -> None:
    items = open_data(f"folder:{folder}").items
    images = [read_image(item.source, item.name) for item in items[:: max(1, len(items) // most)]]
    fingerprints = [fingerprint_of(image) for image in images]
    print(f"near   {len(near_groups(fingerprints))} groups among {len(fingerprints)} different images")
    for name, alter in ALTERED.items():
        copies = [fingerprint_of(alter(image)) for image in images]
        found = sum(bool(near_groups(pair)) for pair in map(list, zip(fingerprints, copies, strict=True)))
        print(f"near   {found} of {len(fingerprints)} found again {name}")


def _best(tasks: list[Callable[[], object]], rounds: int) -> list[float]:
    """Least seconds of each, taken in turns so that a busy machine hits all alike."""
    taken: list[list[float]] = [[] for _ in tasks]
    for _ in range(rounds):
        for task, times in zip(tasks, taken, strict=True):
            begun = time.perf_counter()
            task()
            times.append(time.perf_counter() - begun)
    return list(map(min, taken))


def _input(raw: bytes, min_side: int | None) -> np.ndarray:
    """As a network of 224 pixels gets it, but for the crop."""
    return np.asarray(read_image(raw, min_side=min_side).resize((383, 256), Image.Resampling.BICUBIC), np.float32)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    target = io.BytesIO()
    image.save(target, "JPEG", quality=quality)
    return target.getvalue()


if __name__ == "__main__":
    main()
