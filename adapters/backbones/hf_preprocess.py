"""How a model of transformers wants its images: `preprocessor_config.json` read as a Preprocess."""

from pathlib import Path
from typing import Any, Literal

from adapters.backbones.safetensors_only import read_json
from studio.core.errors import UsageError
from studio.data.preprocess import Preprocess

# Pillow's numbers; Lanczos (1) and the rest are taken as bicubic
RESAMPLE: dict[int, Literal["nearest", "bilinear", "bicubic"]] = {0: "nearest", 2: "bilinear", 3: "bicubic"}


def read_preprocess(folder: Path, image_size: int | None) -> Preprocess:
    """The Preprocess of a folder; `image_size` is the model's, where the file names none.

    Raises UsageError where the folder does not say how images are prepared: a guess would spoil every number.
    """
    if (folder / "preprocessor_config.json").is_file():
        values = read_json(folder / "preprocessor_config.json")
    elif (folder / "processor_config.json").is_file():
        values = read_json(folder / "processor_config.json").get("image_processor", {})
    else:
        raise UsageError(
            f"model.backbone: {folder} has no preprocessor_config.json, so how its images are prepared is unknown. "
            "Save the image processor beside the model: AutoImageProcessor...save_pretrained(FOLDER)."
        )
    if values.get("do_flip_channel_order"):
        raise UsageError(
            f"model.backbone: {folder} wants its images as BGR, which is not done here; timm/ has such models."
        )
    scale = 255 * values.get("rescale_factor", 1 / 255) if values.get("do_rescale", True) else 255.0
    mean, std = (values.get("image_mean") or (0.5,) * 3, values.get("image_std") or (0.5,) * 3)
    if not values.get("do_normalize", True):
        mean, std = (0.0,) * 3, (1.0,) * 3
    size, crop_pct, squash = _geometry(values, image_size or 224)
    return Preprocess(
        image_size=size,
        crop_pct=crop_pct,
        interpolation=RESAMPLE.get(values.get("resample", 3), "bicubic"),
        mean=tuple(value / scale for value in mean),
        std=tuple(value / scale for value in std),
        squash=squash,
    )


def _geometry(values: dict[str, Any], image_size: int) -> tuple[int, float, bool]:
    """Side of the input, its share of the resized short side, and whether both sides are resized to it."""
    short = _shortest_edge(values.get("size"))
    if values.get("do_center_crop") and values.get("crop_size"):
        side = _side(values["crop_size"])  # some resize both sides before the crop; here the short one
        resized = short or _side(values.get("size") or side)
        return side, min(1.0, side / resized), False
    if short and values.get("crop_pct"):  # ConvNeXt: crops below 384 pixels, squashes above
        return short, float(values["crop_pct"]), short >= 384
    if short:
        return short, 1.0, False
    return _side(values.get("size") or image_size), 1.0, True


def _shortest_edge(size: Any) -> int | None:
    return size.get("shortest_edge") if isinstance(size, dict) else None


def _side(size: Any) -> int:
    """One number for a size given as {height, width}, [h, w], {shortest_edge} or a number."""
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    return int(size[0] if isinstance(size, (list, tuple)) else size)
