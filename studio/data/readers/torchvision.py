"""`torchvision:NAME?split=train`: a classification set of torchvision, downloaded once into the home folder."""

import inspect

import numpy as np

from studio.core.errors import DataError, HubError, nearest
from studio.core.home import Home
from studio.data.items import ArraySource, Dataset, Item


def read(rest: str, options: dict[str, str]) -> Dataset:
    """Raises DataError for an unknown set, HubError where it is not here and can't be downloaded."""
    from torchvision import datasets

    known = {name: cls for name, cls in vars(datasets).items() if inspect.isclass(cls)}
    if rest not in known:
        raise DataError(f"torchvision has no dataset {rest!r}.{nearest(rest, known)}")
    cls = known[rest]
    arguments = {"root": str(Home.find().root / "torchvision"), "download": True}
    accepted = inspect.signature(cls.__init__).parameters
    if "train" in accepted:
        arguments["train"] = options.get("split", "train") == "train"
    elif "split" in accepted and "split" in options:
        arguments["split"] = options["split"]
    try:
        found = cls(**{name: value for name, value in arguments.items() if name in accepted})
    except Exception as error:
        raise HubError(
            f"torchvision:{rest} is not in the home folder and can't be downloaded here ({error}). "
            "Data that is always here: builtin:digits, builtin:glyphs."
        ) from error
    names = [str(name) for name in getattr(found, "classes", [])]
    items = [
        Item(f"{rest}[{index}]", int(label), ArraySource(np.asarray(image.convert("RGB"))))
        for index, (image, label) in enumerate(found)
    ]
    count = 1 + max(item.label for item in items)
    return Dataset("", names or [str(index) for index in range(count)], items)
