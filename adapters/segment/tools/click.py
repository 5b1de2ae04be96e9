"""Click to segment: what looks like the place of a click on a frozen backbone is marked; nothing is trained."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps
from pydantic import Field
from torch import Tensor
from torch.nn.functional import grid_sample, normalize
from torchvision.transforms.v2 import functional

from adapters.backbones.pyramid_maps import PyramidMaps, resized
from adapters.segment.base import Segmenter
from adapters.segment.data.decoded import to_canvas
from adapters.segment.hf_base import TransformersSegmenter
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import EpisodeHead
from studio.core.tool import Bench, Photo, Points, Tool, ToolInputs, ToolResult
from studio.data import read_image
from studio.data.masks.class_map import connected
from studio.data.masks.outlines import run_lengths
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize as to_network
from studio.figures.masks import GROUND, draw_mask

STRIDES = (4, 8, 16, 32)
FINER = 2  # times the backbone's own size that a photo is looked at where any size is taken
CLICKED = "clicked"


@registry.tool
class Click(Tool):
    name, title = "click", "Segment by a click"
    about = "Marks what looks like the place you click on in the photo, and says how much of it that is."

    class Inputs(ToolInputs):
        image: Photo = Field(description="Image")
        inside: Points = Field(min_length=2, max_length=64, description="Pixels of the thing: x, y, x, y, ...")
        outside: Points = Field([], max_length=64, description="Pixels that are none of it: x, y, ...")
        whole: bool = Field(False, description="Mark all that looks alike, not only what hangs together with a click")

    def fits(self, manifest: Any) -> bool:
        """One whose backbone gives maps: a network for class maps, or a head on a frozen backbone."""
        cls = registry.get(manifest.method)
        own = issubclass(cls, Segmenter) and not issubclass(cls, TransformersSegmenter)
        return own or (issubclass(cls, EpisodeHead) and bool(manifest.preprocess))

    def run(self, checkpoint: str, inputs: Inputs, bench: Bench) -> ToolResult:
        image = _upright(inputs.image)
        inside, outside = (_points(name, getattr(inputs, name), image.size) for name in ("inside", "outside"))
        backbone, preprocess = _backbone(bench.model(checkpoint).predictor)
        marked = mark(backbone, preprocess, image, inside, outside, inputs.whole)
        area = round(100 * float(marked.mean()), 2)
        facts = {"area_percent": area, "width": image.width, "height": image.height, "rle": run_lengths(marked)}
        remark = ("tool.click.marked", {"area": area})
        return ToolResult(facts, remark, image=_drawn(image, marked, inside, outside))


def mark(
    backbone: Any, preprocess: Preprocess, image: Image.Image, inside: Sequence[tuple[float, float]],
    outside: Sequence[tuple[float, float]] = (), whole: bool = False,
) -> np.ndarray:  # fmt: skip
    """The pixels bool [H, W] of an RGB image that look like the points `inside` (x, y), not like those `outside`.

    A point's prototype is its features on a frozen backbone, all maps at the finest stride, less the image's mean; a
    place belongs where its cosine with the nearest prototype inside is above that with any outside, or, where none is
    given, above the cut that parts the cosines best (Otsu 1979). Masked average pooling of one pixel: Wang et al. 2019,
    PANet, eq. 1.
    """
    features = _features(backbone, preprocess, image)
    cosines = _cosines(features, inside, image.size)
    cut = _cosines(features, outside, image.size) if outside else torch.tensor(otsu(cosines.cpu().numpy()))
    margin = resized((cosines - cut.to(cosines))[None, None], (image.height, image.width))[0, 0]
    alike = (margin > 0).cpu().numpy()
    if whole:
        return alike
    parts = [part for label, part in connected(alike.astype(np.uint8)) if label]
    clicked = [part for part in parts if any(part[int(y), int(x)] for x, y in inside)]
    return np.logical_or.reduce(clicked) if clicked else np.zeros_like(alike)


@torch.inference_mode()
def _features(backbone: Any, preprocess: Preprocess, image: Image.Image) -> Tensor:
    """Directions [D, h, w] of all places, less their mean."""
    maps = PyramidMaps(backbone, STRIDES).eval()
    side, device = preprocess.image_size, next(backbone.parameters()).device
    pixels = to_canvas(image, FINER * side if maps.any_size else side)
    if not maps.any_size:
        pixels = functional.resize(pixels, [side, side], antialias=True)
    found = maps(to_network(pixels[None].to(device), preprocess))
    joined = torch.cat([resized(normalize(level.float()), found[0].shape[-2:]) for level in found], dim=1)[0]
    return normalize(joined - joined.mean(dim=(1, 2), keepdim=True), dim=0)


def _cosines(features: Tensor, points: Sequence[tuple[float, float]], size: tuple[int, int]) -> Tensor:
    """The cosine [h, w] of each place with the nearest of the prototypes at `points` (x, y) of an image of `size`."""
    grid = torch.tensor([[(2 * x + 1) / size[0] - 1, (2 * y + 1) / size[1] - 1] for x, y in points])
    prototypes = grid_sample(features[None], grid[None, None].to(features), align_corners=False)[0, :, 0]
    return torch.einsum("dhw,dp->phw", features, normalize(prototypes, dim=0)).amax(dim=0)


def otsu(values: np.ndarray, bins: int = 128) -> float:
    """The cut that parts values into two groups with the most variance between them. Otsu 1979, equation 12."""
    counts, edges = np.histogram(values, bins)
    centres = (edges[:-1] + edges[1:]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    known = (below > 0) & (above > 0)
    means = sums[known] / below[known], (sums[-1] - sums[known]) / above[known]
    between = below[known] * above[known] * (means[0] - means[1]) ** 2
    return float(edges[1:][known][int(between.argmax())]) if known.any() else float(values.min()) - 1


def _backbone(predictor: Any) -> tuple[Any, Preprocess]:
    """The backbone of a loaded checkpoint, and what its images go through."""
    learner = getattr(predictor, "learner", None)
    if learner is not None:
        return learner.module.maps.backbone, predictor.preprocess
    return predictor.backbone, predictor.backbone.preprocess


def _points(name: str, flat: list[float], size: tuple[int, int]) -> list[tuple[float, float]]:
    """Pairs of x and y. Raises UsageError for an odd number, or a point that is not in the image."""
    if len(flat) % 2:
        raise UsageError(f"{name}: {len(flat)} numbers; expected pairs, x and y of each point.")
    points = list(zip(flat[::2], flat[1::2], strict=True))
    for x, y in points:
        if not (0 <= x < size[0] and 0 <= y < size[1]):
            raise UsageError(
                f"{name}: the point {x:g}, {y:g} is not in the image, which has {size[0]} x {size[1]} pixels."
            )
    return points


def _upright(photo: Any) -> Image.Image:
    if isinstance(photo, Image.Image):
        return ImageOps.exif_transpose(photo).convert("RGB")
    return read_image(photo, str(photo))


def _drawn(
    image: Image.Image, marked: np.ndarray, inside: Sequence[tuple[float, float]],
    outside: Sequence[tuple[float, float]],
) -> Image.Image:  # fmt: skip
    """The image with what is marked in colour and the points as circles, those outside crossed."""
    share = 100 * float(marked.mean())
    out = draw_mask(image, marked.astype(np.uint8), [GROUND, CLICKED], {CLICKED: share})
    pen, radius = ImageDraw.Draw(out), max(3, max(image.size) // 100)
    for points, fill in ((inside, "white"), (outside, "black")):
        for x, y in points:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline="red", width=2)
    return out
