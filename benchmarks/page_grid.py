"""How long a page of a data set's images takes the server, of a small set and of one of 10,000 images in one run.

Images are drawn noise as JPEG in 20 classes and two splits, one in a hundred a copy in the other split. Each set is
examined once, as the page does; then pages, filters and problems are drawn in turn, from the table to the HTML.

    python benchmarks/page_grid.py --images 100,10000 --times 60
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from studio.core.home import Home
from studio.runs.examine import Examiner
from studio.ui.image_grid import Wanted, draw

CLASSES, SIDE = 20, 96


def write_images(folder: Path, count: int) -> None:
    draw_numbers = np.random.default_rng(0)
    for number in range(count):
        split = "test" if number % 5 == 0 else "train"
        path = folder / split / f"class-{number % CLASSES:02d}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(draw_numbers.integers(0, 255, (9, 12, 3), np.uint8))
        coarse.resize((SIDE * 4 // 3, SIDE)).save(path, quality=85)
        if number % 100 == 1:
            other = folder / "test" / path.parent.name / f"copy-{number:05d}.jpg"
            other.parent.mkdir(parents=True, exist_ok=True)
            other.write_bytes(path.read_bytes())


def timed(work: Callable[[int], object], times: int) -> tuple[float, float]:
    """Median and 95th percentile of the seconds of `work(0)`, `work(1)`, ..."""
    seconds = []
    for number in range(times):
        begun = time.perf_counter()
        work(number)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]


def measure(count: int, times: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder) / "photos", count)
        home, examiner = Home.find(Path(folder) / "home"), Examiner()
        begun = time.perf_counter()
        name = examiner.examine(f"folder:{folder}/photos", home).name
        examined_s = time.perf_counter() - begun

        def page(wanted: Callable[[int], Wanted]) -> tuple[float, float]:
            return timed(lambda number: draw(examiner.table(name, home), wanted(number), "en"), times)

        begun = time.perf_counter()
        first = draw(examiner.table(name, home), Wanted(), "en")
        first_s = time.perf_counter() - begun
        row: dict[str, object] = {
            "images": count, "examined_s": examined_s, "first_page_s": first_s, "pages": first.pages,
            "page_kb": len(first.html) / 1024,
        }  # fmt: skip
        kinds = {
            "page": lambda number: Wanted(page=number % first.pages),
            "class_and_split": lambda number: Wanted(f"class-{number % CLASSES:02d}", "train"),
            "leaks": lambda number: Wanted(problem="leaks", page=number),
        }
        for kind, wanted in kinds.items():
            median, p95 = page(wanted)
            row |= {f"{kind}_s": median, f"{kind}_p95_s": p95}
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", default="100,10000", help="sizes of the sets, by commas")
    parser.add_argument("--times", type=int, default=60, help="pages of each kind that are drawn")
    args = parser.parse_args()
    for count in map(int, args.images.split(",")):
        print(json.dumps(measure(count, args.times)), flush=True)


if __name__ == "__main__":
    main()
