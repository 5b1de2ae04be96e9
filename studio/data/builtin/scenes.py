"""`builtin:scenes`: images with characters strewn over them, with boxes, masks or pairs, in four looks; no download.

Every image is drawn anew from (seed, number); the same number shows the same things in each look, so that
two looks are one scene in two kinds of weather.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageFilter

from studio.data.boxes import Boxes
from studio.data.builtin.glyphs import FONTS, _face, alphabet, class_name
from studio.data.items import Dataset, Item
from studio.data.masks.class_map import Things

LOOKS = ("clear", "fog", "night", "infrared")
CROWDED = 0.15  # share of a new thing that may lie over others
TRIES = 20


@dataclass(frozen=True)
class Thing:
    """One character in a scene: its class, where its ink lies, and the ink as uint8 [h, w]."""

    label: int
    left: int
    top: int
    ink: np.ndarray
    pen: tuple[float, float, float]

    @property
    def corners(self) -> tuple[int, int, int, int]:
        return self.left, self.top, self.left + self.ink.shape[1], self.top + self.ink.shape[0]


@dataclass(frozen=True)
class Scene:
    """One image; it is drawn when it is read."""

    number: int
    size: int
    classes: int
    most: int
    look: str
    seed: int

    def read(self) -> np.ndarray:
        """Pixels uint8 [size, size, 3]."""
        return _looked(self._painted(), self.look, np.random.default_rng((self.seed, self.number, 1)))

    def digest(self) -> str:
        return hashlib.sha256(f"scene {self!r} {PIL.__version__}".encode()).hexdigest()

    @cached_property
    def things(self) -> list[Thing]:
        """What is in the scene, from back to front; whatever the look."""
        draw = np.random.default_rng((self.seed, self.number, 0))
        characters, out = alphabet()[: self.classes], list[Thing]()
        covered = np.zeros((self.size, self.size), bool)
        for _ in range(int(draw.integers(1, self.most + 1))):
            for _ in range(TRIES):
                thing = _thing(characters, self.size, draw)
                x1, y1, x2, y2 = thing.corners
                if covered[y1:y2, x1:x2].mean() <= CROWDED:
                    covered[y1:y2, x1:x2] = True
                    out.append(thing)
                    break
        return out

    def boxes(self) -> Boxes:
        """Around the ink of each thing."""
        boxes = Boxes.of([thing.corners for thing in self.things], [thing.label for thing in self.things])
        return replace(boxes, masks=self.masks)

    def masks(self) -> np.ndarray:
        """Which pixels show each thing, bool [N, size, size]; one in front hides what is behind it."""
        masks = np.zeros((len(self.things), self.size, self.size), bool)
        for number, thing in enumerate(self.things):
            x1, y1, x2, y2 = thing.corners
            ink = thing.ink > 127
            masks[:number, y1:y2, x1:x2] &= ~ink
            masks[number, y1:y2, x1:x2] = ink
        return masks

    def class_map(self) -> np.ndarray:
        """What each pixel shows, uint8 [size, size]: 0 for the ground, a character's class + 1."""
        out = np.zeros((self.size, self.size), np.uint8)
        for thing in self.things:
            x1, y1, x2, y2 = thing.corners
            out[y1:y2, x1:x2][thing.ink > 127] = thing.label + 1
        return out

    def _painted(self) -> np.ndarray:
        """The scene by clear day, float [size, size, 3] in 0..255: things over slow changes of colour and shapes."""
        draw = np.random.default_rng((self.seed, self.number, 2))
        coarse = Image.fromarray(draw.integers(120, 236, (4, 4, 3), dtype=np.uint8))
        ground = coarse.resize((self.size, self.size), Image.Resampling.BICUBIC)
        pen = ImageDraw.Draw(ground)
        for _ in range(6):
            x, y = draw.integers(0, self.size, 2).tolist()
            w, h = draw.integers(self.size // 16, self.size // 3, 2).tolist()
            colour = tuple(draw.integers(120, 236, 3).tolist())
            (pen.ellipse if draw.random() < 0.5 else pen.rectangle)((x, y, x + w, y + h), fill=colour)
        image = np.asarray(ground, np.float32).copy()
        for thing in self.things:
            x1, y1, x2, y2 = thing.corners
            ink = thing.ink[..., None].astype(np.float32) / 255.0
            image[y1:y2, x1:x2] = image[y1:y2, x1:x2] * (1 - ink) + np.array(thing.pen, np.float32) * ink
        return image


@dataclass(frozen=True)
class SceneMask:
    """The class map of a scene; it is drawn when it is read."""

    scene: Scene

    def read(self) -> np.ndarray:
        return self.scene.class_map()

    def things(self) -> Things:
        shown = zip(self.scene.things, self.scene.masks(), strict=True)
        return [(thing.label + 1, inside) for thing, inside in shown if inside.any()]


def scenes(images: int, classes: int, size: int, look: str, most: int, seed: int, truth: str = "boxes") -> Dataset:
    """`images` scenes of 1 to `most` things each. The first `classes` characters of the glyphs are the classes.

    Their `truth` are boxes; or masks, with a class background before those of the characters; or pairs, each with the
    same scene by clear day, without classes.
    """
    items = []
    for number in range(images):
        scene = Scene(number, size, classes, most, look, seed)
        items.append(replace(Item(f"scene-{look}-{number:04d}", -1, scene, look), **_truth_of(scene, truth)))
    names = [class_name(character) for character in alphabet()[:classes]]
    classes_of = {"boxes": names, "masks": ["background", *names], "pairs": []}
    return Dataset("builtin:scenes", classes_of[truth], items)


def _truth_of(scene: Scene, kind: str) -> dict[str, Any]:
    if kind == "masks":
        return {"mask": SceneMask(scene)}
    return {"boxes": scene.boxes()} if kind == "boxes" else {"pair": replace(scene, look="clear")}


def _thing(characters: list[str], size: int, draw: np.random.Generator) -> Thing:
    """A character of some font, turned, an eighth to a third of the image high, somewhere in it."""
    label = int(draw.integers(len(characters)))
    font = list(FONTS)[int(draw.integers(len(FONTS)))]
    height = int(size * draw.uniform(0.12, 0.36))
    mask = _face(font, max(10, height)).getmask(characters[label])
    ink = Image.frombytes("L", mask.size, bytes(mask)).rotate(draw.uniform(-15, 15), Image.Resampling.BILINEAR, True)
    ink = ink.crop(ink.point(lambda value: 255 * (value > 127)).getbbox())
    ink.thumbnail((size, size))
    left, top = (int(draw.integers(size - side + 1)) for side in ink.size)
    dark = draw.uniform(0, 95, 3)
    return Thing(label, left, top, np.asarray(ink), (float(dark[0]), float(dark[1]), float(dark[2])))


def _looked(clear: np.ndarray, look: str, draw: np.random.Generator) -> np.ndarray:
    """A clear image in another look, uint8."""
    size = len(clear)
    if look == "fog":  # Koschmieder's law: light that the fog scatters takes the place of the scene's, more far up
        depth = np.linspace(1.0, 0.35, size)[:, None, None]
        passed = np.exp(-draw.uniform(1.2, 2.0) * depth)
        clear = clear * passed + 225.0 * (1 - passed)
    elif look == "night":
        x, y = draw.uniform(0.2, 0.8, 2) * size
        far = ((np.arange(size)[None] - x) ** 2 + (np.arange(size)[:, None] - y) ** 2) / (0.45 * size) ** 2
        lamp = (0.18 + 0.5 * np.exp(-far))[..., None] * np.array([1.0, 0.9, 0.7])
        clear = clear * lamp + draw.normal(0, 6, clear.shape)
    elif look == "infrared":  # one channel; what was dark is warm and bright
        grey = 255.0 - clear.mean(axis=2, keepdims=True)
        soft = Image.fromarray(np.clip(grey[..., 0], 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.0))
        clear = np.repeat(np.asarray(soft, np.float32)[..., None], 3, axis=2) + draw.normal(0, 3, (size, size, 1))
    return np.clip(np.round(clear + draw.normal(0, 3, (size, size, 1))), 0, 255).astype(np.uint8)
