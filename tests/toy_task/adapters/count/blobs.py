"""Blobs: connected bright regions."""

import numpy as np
from PIL import Image
from pydantic import Field
from scipy.ndimage import label

from studio.core.registry import Method, Params, register


class BlobParams(Params):
    above: int = Field(128, ge=0, le=255, description="brightness from which a pixel belongs to an object")


@register("count/blobs")
class Blobs(Method):
    """Counts connected regions of bright pixels."""

    title = "Bright blobs"
    paper = "Rosenfeld and Pfaltz 1966, Sequential Operations in Digital Picture Processing"
    task = "count"
    uses = ("data.images", "eval.tolerance")
    Params = BlobParams

    def count(self, image: Image.Image) -> tuple[int, np.ndarray]:
        """How many there are, and which each pixel belongs to [H, W], 0 for none."""
        regions, found = label(np.asarray(image.convert("L")) >= self.params.above)
        return found, regions
