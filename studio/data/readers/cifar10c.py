"""`cifar10c:FOLDER?corruption=fog&severity=5`: CIFAR-10-C, CIFAR-10 made worse (Hendrycks et al. 2019).

An array a corruption, five severities of 10,000 images behind each other, and one of labels; only the severity that is
asked for is kept in memory.
"""

from pathlib import Path

import numpy as np

from studio.core.errors import DataError, nearest
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.items import ArraySource, Dataset, Item

OPTIONS = {"corruption": "such as fog, gaussian_noise, motion_blur", "severity": "1 to 5; 5 without it"}
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
IMAGES, SEVERITIES = 10_000, 5  # of each severity
GET = (
    "CIFAR-10-C (19 corruptions of 50,000 images) comes from zenodo.org/records/2535967: CIFAR-10-C.tar (2.9 GB). "
    "labels.npy and the corruptions belong into one folder as they are unpacked."
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the set is not there, or not as it was published."""
    root = Path(rest).expanduser()
    if not root.is_dir():
        raise DataError(f"{no_such(root, 'folder')} {GET}")
    there = sorted(path.stem for path in root.glob("*.npy") if path.stem != "labels")
    if not there or not (root / "labels.npy").exists():
        raise DataError(f"{root} does not hold CIFAR-10-C. {GET}")
    name = options.get("corruption", "")
    if name not in there:
        raise DataError(
            f"cifar10c: found corruption={name!r}; expected one of {', '.join(there)}.{nearest(name, there)}"
        )
    severity = options.get("severity", str(SEVERITIES))
    if severity not in map(str, range(1, SEVERITIES + 1)):
        raise DataError(f"cifar10c: found severity={severity!r}; expected 1 to {SEVERITIES}.")
    rows = slice((int(severity) - 1) * IMAGES, int(severity) * IMAGES)
    images, labels = _array(root / f"{name}.npy", (32, 32, 3))[rows], _array(root / "labels.npy", ())[rows]
    items = [
        Item(f"{name}-{severity}[{i}]", int(label), ArraySource(image), f"{name}-{severity}")
        for i, (image, label) in enumerate(zip(np.array(images), labels, strict=True))
    ]
    return Dataset("", CLASSES, items, remarks=[f"CIFAR-10-C, {name} {severity}: {len(items):,} images, all of it."])


def _array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """What the file holds, mapped and not read. Raises DataError where it is no array of the published shape."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no readable .npy file ({error}).") from error
    expected = (IMAGES * SEVERITIES, *shape)
    if array.shape != expected or array.dtype != np.uint8:
        raise DataError(
            f"{path} holds {array.dtype} of shape {list(array.shape)}; CIFAR-10-C has uint8 of shape {list(expected)}."
        )
    return array
