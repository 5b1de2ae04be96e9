"""`builtin:individuals`: marked animals of a kind, seen from several sides by several cameras; no download.

An individual is a character in a font of its own on a coat whose colours others share. A view turns and tilts it; a
camera has its own distortion, light, sharpness and background. Places have other individuals and other cameras.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageFilter

from studio.data.builtin.glyphs import FONTS, _face, alphabet
from studio.data.items import Dataset, Item

PLACES = 4
COATS = ((196, 160, 110), (120, 84, 60), (210, 205, 195), (90, 95, 105), (170, 110, 80), (150, 160, 120))
PENS = ((30, 24, 20), (235, 232, 225), (120, 30, 26), (28, 40, 92))
FINE = 2  # drawn so many times larger, then reduced


@dataclass(frozen=True)
class IndividualSource:
    """One image of an individual; it is drawn when it is read."""

    individual: int
    place: int
    camera: int
    view: int
    size: int
    seed: int

    def read(self) -> np.ndarray:
        """Pixels uint8 [size, size, 3]."""
        return _seen(self)

    def digest(self) -> str:
        return hashlib.sha256(f"individual {self!r} {PIL.__version__}".encode()).hexdigest()


def individuals(count: int, cameras: int, views: int, place: int, size: int, seed: int) -> Dataset:
    """`count` individuals of a place, each seen by every camera `views` times."""
    domain = f"place-{place}"
    items = [
        Item(
            f"{domain}/{who:03d}/camera-{camera}/{view}", who, IndividualSource(who, place, camera, view, size, seed),
            domain, camera=str(camera),
        )
        for who in range(count) for camera in range(cameras) for view in range(views)
    ]  # fmt: skip
    return Dataset("builtin:individuals", [f"{domain}/{who:03d}" for who in range(count)], items)


def most_individuals() -> int:
    """Of one place: every character has its individual at one of them."""
    return len(alphabet()) // PLACES


def _seen(source: IndividualSource) -> np.ndarray:
    view = np.random.default_rng((source.seed, source.place, source.individual, source.camera, source.view))
    camera = np.random.default_rng((source.seed, source.place, source.camera, 1_000_003))
    side = FINE * source.size
    background = _background(camera, view, side)
    body, mask = _body(source, side)
    coefficients = _bent(camera, view, side)
    turned = [
        layer.transform((side, side), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)
        for layer in (body, mask)
    ]
    background.paste(turned[0], (0, 0), turned[1])
    image = background.resize((source.size, source.size), Image.Resampling.BOX)
    image = image.filter(ImageFilter.GaussianBlur(camera.uniform(0, 0.018) * source.size))
    return _lit(np.asarray(image, np.float32), camera, view)


def _body(source: IndividualSource, side: int) -> tuple[Image.Image, Image.Image]:
    """The individual as it is, and where it is: RGB and L of `side` pixels."""
    own = np.random.default_rng((source.seed, source.place, source.individual))
    coat, pen = COATS[own.integers(len(COATS))], PENS[own.integers(len(PENS))]
    font = list(FONTS)[own.integers(len(FONTS))]
    character = alphabet()[source.individual * PLACES + source.place]
    body, mask = Image.new("RGB", (side, side), coat), Image.new("L", (side, side), 0)
    edge = round(0.1 * side)
    ImageDraw.Draw(mask).rounded_rectangle((edge, edge, side - edge, side - edge), round(0.25 * side), fill=255)
    face = _face(font, round(0.55 * side))
    left, top, right, bottom = face.getbbox(character)
    corner = ((side - right - left) / 2, (side - bottom - top) / 2)
    ImageDraw.Draw(body).text(corner, character, fill=pen, font=face)
    return body, mask


def _bent(camera: np.random.Generator, view: np.random.Generator, side: int) -> list[float]:
    """Where each pixel comes from: turned, tilted and shifted by the view, bent by the camera."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float) - 0.5
    turn, squeeze = np.deg2rad(view.uniform(-20, 20)), view.uniform(0.65, 1.0)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    seen = corners * [squeeze, 1.0] @ spin * view.uniform(0.8, 1.05)
    seen[:, 1] *= 1 + view.uniform(-0.35, 0.35) * corners[:, 0]  # one side is nearer
    seen += camera.uniform(-0.09, 0.09, (4, 2)) + view.uniform(-0.05, 0.05, 2)
    rows, wanted = [], []
    for (x, y), (u, v) in zip((seen + 0.5) * side, (corners + 0.5) * side, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return np.linalg.solve(np.array(rows), np.array(wanted)).tolist()


def _background(camera: np.random.Generator, view: np.random.Generator, side: int) -> Image.Image:
    ground = camera.uniform(60, 190, 3)
    coarse = ground + camera.uniform(8, 30) * view.standard_normal((6, 6, 1))
    small = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def _lit(pixels: np.ndarray, camera: np.random.Generator, view: np.random.Generator) -> np.ndarray:
    """Under the light of a camera, of one moment."""
    gain, gamma = camera.uniform(0.55, 1.25, 3) * view.uniform(0.85, 1.15), camera.uniform(0.7, 1.4)
    lit = 255 * np.clip(pixels / 255 * gain, 0, 1) ** gamma
    lit += view.normal(0, camera.uniform(2, 9), pixels.shape)
    return np.clip(np.round(lit), 0, 255).astype(np.uint8)
