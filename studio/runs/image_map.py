"""A map of a data set's images: features of a frozen backbone in two dimensions, where what looks alike lies together.

Written beside the table of the images (`studio.runs.image_table`): `map.json`, and the photos as tiles of `map.jpg`.
"""

import base64
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from studio.core import registry
from studio.core.home import Home
from studio.data import Dataset, open_data
from studio.data.features.cache import extract
from studio.data.files.limits import limits_of
from studio.device.manager import DeviceManager
from studio.runs.image_table import ImageTable, read_table

BACKBONE = "pip/tf_efficientnet_lite0"
MOST = 800  # images; of larger sets, evenly spaced ones
TILE = 48  # pixels of a photo's side


@dataclass(frozen=True)
class ImageMap:
    """Points x, y in 0..1 of rows of the table, a colour a class, and a JPEG of tiles, `columns` in a line."""

    places: list[int]
    points: list[tuple[float, float]]
    colours: list[str]
    columns: int
    tiles: str  # a data URL


def write_map(spec: str, folder: Path, home: Home) -> None:
    """Reads the images of a spec whose table is in `folder`. Raises DataError where they can't be opened."""
    from studio.figures.maps import project
    from studio.figures.masks import class_colours

    table, data = read_table(folder), open_data(spec, limits_of(home))
    if not isinstance(data, Dataset):
        return
    chosen = np.linspace(0, len(data) - 1, min(MOST, len(data))).round().astype(int)
    with DeviceManager(home).lease("auto", memory_gb=1.0, interactive=True) as lease:
        backbone = registry.backbone(BACKBONE, home=home).to(lease.device).eval()
        features, kept = extract(data.subset(chosen), backbone, home=home, device=lease.device)
    place_of = {row.name: place for place, row in enumerate(table.rows) if row.seen}
    rows = [row for row, item in enumerate(kept.items) if item.name in place_of]
    places = [place_of[kept.items[row].name] for row in rows]
    points = _within_unit(project(features))[rows]
    columns = max(1, math.ceil(math.sqrt(len(places))))
    _tiles(table, places, columns).save(folder / "map.jpg", quality=80)
    colours = [f"#{bytes(colour).hex()}" for colour in class_colours(len(table.classes)).tolist()]
    values = {"places": places, "points": points.round(4).tolist(), "colours": colours, "columns": columns}
    (folder / "map.json").write_text(json.dumps(values), encoding="utf-8")


def read_map(folder: Path) -> ImageMap | None:
    """None where none was made."""
    if not (folder / "map.json").exists():
        return None
    values = json.loads((folder / "map.json").read_text(encoding="utf-8"))
    tiles = base64.b64encode((folder / "map.jpg").read_bytes()).decode()
    return ImageMap(tiles=f"data:image/jpeg;base64,{tiles}", **values)


def _within_unit(points: np.ndarray) -> np.ndarray:
    """Points [N, 2] moved and stretched into 0..1."""
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - low) / np.maximum(high - low, 1e-12)


def _tiles(table: ImageTable, places: list[int], columns: int) -> Image.Image:
    """The thumbnails of these rows as squares, cut to their middle, one after the other."""
    sheet = Image.new("RGB", (TILE * columns, TILE * max(1, math.ceil(len(places) / columns))))
    for number, place in enumerate(places):
        with Image.open(io.BytesIO(base64.b64decode(table.thumbnail(place).partition(",")[2]))) as photo:
            side = min(photo.size)
            left, top = (photo.width - side) // 2, (photo.height - side) // 2
            tile = photo.resize((TILE, TILE), box=(left, top, left + side, top + side))
        sheet.paste(tile, (TILE * (number % columns), TILE * (number // columns)))
    return sheet
