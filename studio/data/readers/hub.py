"""`hf:ORG/NAME[@revision]?split=train`: an image classification set of the Hugging Face Hub."""

import re

import numpy as np

from studio.core.errors import DataError, HubError
from studio.data.items import ArraySource, Dataset, Item


def read(rest: str, options: dict[str, str]) -> Dataset:
    """Raises DataError for a malformed name or a set without images, HubError where the hub can't be reached."""
    name, _, revision = rest.partition("@")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", name):
        raise DataError(f"hf:{rest}: expected hf:ORG/NAME or hf:ORG/NAME@REVISION.")
    try:
        from datasets import Image, load_dataset
    except ImportError as error:
        raise HubError("hf: data needs one more package: pip install datasets") from error
    split = options.get("split", "train")
    try:
        found = load_dataset(name, revision=revision or None, split=split)
    except Exception as error:
        raise HubError(
            f"hf:{rest} can't be had ({str(error)[:160]}). Data that is always here: builtin:digits, builtin:glyphs."
        ) from error
    image = options.get("x") or next((key for key, kind in found.features.items() if isinstance(kind, Image)), None)
    label = options.get("y") or next((key for key in ("label", "labels", "fine_label") if key in found.features), None)
    if image is None or label is None:
        raise DataError(f"hf:{rest} has columns {list(found.features)}; name the image and label with ?x=...&y=...")
    values = found[label]
    names = getattr(found.features[label], "names", None) or [str(value) for value in sorted(set(values))]
    items = [
        Item(f"{name}[{index}]", int(value) if isinstance(value, int) else names.index(str(value)),
             ArraySource(np.asarray(picture.convert("RGB"))))
        for index, (picture, value) in enumerate(zip(found[image], values, strict=True))
    ]  # fmt: skip
    return Dataset("", list(names), items)
