"""`ade20k:FOLDER`: ADE20K (Zhou et al. 2017) with the 150 classes of SceneParse150, in either form that it comes in.

In SceneParse150 (ADEChallengeData2016) 1 to 150 are the classes and 0 is none. In the full release a pixel's object is
R // 10 * 256 + G of its colour, and the JSON beside the image names the objects: those whose first name is that of one
of the 150 classes are it, all others are void.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import DataError
from studio.data.files.annotation_files import Unreadable, read_json
from studio.data.files.images import BadImage
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import source_of
from studio.data.items import Dataset
from studio.data.masks.class_map import VOID
from studio.data.masks.mask_files import read_values
from studio.data.masks.published import PublishedSet, find_pairs, read_published
from studio.data.masks.tables import Table

OPTIONS: dict[str, str] = {}
NAMES = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet", "sidewalk",
    "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water", "painting", "sofa",
    "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp",
    "bathtub", "railing", "cushion", "base", "box", "column", "signboard", "chest of drawers", "counter", "sand",
    "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case", "pool table",
    "pillow", "screen door", "stairway", "river", "bridge", "bookcase", "blind", "coffee table", "toilet", "flower",
    "book", "hill", "bench", "countertop", "stove", "palm", "kitchen island", "computer", "swivel chair", "boat",
    "bar", "arcade machine", "hovel", "bus", "towel", "light", "truck", "tower", "chandelier", "awning",
    "streetlight", "booth", "television receiver", "airplane", "dirt track", "apparel", "pole", "land", "bannister",
    "escalator", "ottoman", "bottle", "buffet", "poster", "stage", "van", "ship", "fountain", "conveyer belt",
    "canopy", "washer", "plaything", "swimming pool", "stool", "barrel", "basket", "waterfall", "tent", "bag",
    "minibike", "cradle", "oven", "ball", "food", "step", "tank", "trade name", "microwave", "pot", "animal",
    "bicycle", "lake", "dishwasher", "screen", "blanket", "sculpture", "hood", "sconce", "vase", "traffic light",
    "tray", "ashcan", "fan", "pier", "crt screen", "plate", "monitor", "bulletin board", "shower", "radiator", "glass",
    "clock", "flag",
)  # fmt: skip
SCENE_PARSE = PublishedSet(
    title="ADE20K (SceneParse150)",
    get="groups.csail.mit.edu/vision/datasets/ADE20K: ADEChallengeData2016.zip (0.9 GB)",
    layouts=(("images/{split}/{stem}.jpg", "annotations/{split}/{stem}.png"),),
    table=Table(NAMES, tuple(range(1, 151)), void=(0,)),
    counts={"train": 20210, "val": 2000},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the set is there in neither form."""
    root = Path(rest).expanduser()
    whole = root.is_dir() and find_pairs(FULL, root)[0]
    return read_published(FULL if whole else SCENE_PARSE, rest, limits)


@dataclass(frozen=True, eq=False)
class FullMask:
    """The class map of an image of the full release: the colours of `path`, the objects' names in the JSON beside."""

    path: Path
    name: str
    limits: Limits

    def read(self) -> np.ndarray:
        colours = read_values(source_of(self.path), f"the mask of {self.name}", self.limits).colours()
        objects = (colours >> 16) // 10 * 256 + (colours >> 8 & 255)
        table = np.full(26 * 256, VOID, np.uint8)
        for number, name in self._objects():
            if name in NAMES and 0 <= number < len(table):
                table[number] = NAMES.index(name)
        return table[objects]

    def _objects(self) -> list[tuple[int, str]]:
        """The number and the first name of each object of the image. Raises BadImage where they can't be read."""
        file = self.path.with_name(self.path.name.replace("_seg.png", ".json"))
        try:
            listed = read_json(file, self.limits)["annotation"]["object"]
            return [_numbered(entry) for entry in listed]
        except (Unreadable, OSError, DataError, KeyError, TypeError, ValueError) as error:
            raise BadImage(self.name, f"{file.name} does not name its objects ({error!r})") from error


def _numbered(entry: dict[str, Any]) -> tuple[int, str]:
    return int(entry["name_ndx"]), str(entry["name"]).partition(",")[0].strip().lower()


FULL = PublishedSet(
    title="ADE20K (full release)",
    get="groups.csail.mit.edu/vision/datasets/ADE20K, with an account",
    layouts=(("images/ADE/{split}/{path}/{stem}.jpg", "images/ADE/{split}/{path}/{stem}_seg.png"),),
    table=SCENE_PARSE.table,
    counts={"train": 25574, "val": 2000},
    opener=FullMask,
)
