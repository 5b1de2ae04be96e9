"""`frames:FOLDER` or `frames:FILM.mp4`: the frames of films in their order, for what learns from motion.

frames:traffic                a folder of frames, or one folder a film; in the order of the numbers in their names
frames:film.mp4?every=5       every fifth frame of a film file, brought to a short side of at most 512 pixels
"""

import re
from pathlib import Path, PurePosixPath

import numpy as np

from studio.core.errors import DataError
from studio.data.files.layout import part
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.video import frames, is_video
from studio.data.items import ArraySource, Dataset, Item
from studio.data.readers.folder import walk
from studio.data.readers.images import refuse_beside, split_of

OPTIONS = {"every": "of a film file: take every N-th frame, 1"}
SIDE = 512  # pixels of the short side at which frames of a file are kept
MOST = 2**31  # bytes of frames of a file that are kept


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where nothing is there, a film can't be decoded, or its frames are too many."""
    root = Path(rest).expanduser()
    if is_video(root):
        return _of_file(root, options, limits)
    if not root.is_dir():
        raise no_such(root, "folder")
    if options:
        raise DataError(f"frames: every is for film files, and {root} is a folder; leave it out.")
    files, closed = walk(root)
    paths, _ = part(files)
    if not paths:
        raise DataError(f"The folder {root} holds no frame. Expected image files, or one folder of them a film.")
    dataset = Dataset("", [], [], closed)
    counts: dict[str, int] = {}
    for path in sorted(paths, key=in_order):
        film = str(path.parent)
        if split := split_of(path):
            dataset.splits.setdefault(split, []).append(len(dataset.items))
        dataset.items.append(Item(str(path), -1, files[str(path)], domain=film, frame=counts.get(film, 0)))
        counts[film] = counts.get(film, 0) + 1
    return refuse_beside(dataset, root)


def in_order(path: PurePosixPath) -> tuple[str, list[int], str]:
    """Frame 10 comes after frame 9."""
    return str(path.parent), [int(digits) for digits in re.findall(r"\d+", path.stem)], path.stem


def _of_file(path: Path, options: dict[str, str], limits: Limits) -> Dataset:
    text, dataset, size = options.get("every", "1"), Dataset("", [], []), 0
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise DataError(f"frames: every is {text!r}; expected a whole number from 1.")
    for frame in frames(path, int(text), limits):
        image = frame.image
        if (factor := SIDE / min(image.size)) < 1:
            image = image.resize((round(image.width * factor), round(image.height * factor)))
        pixels = np.asarray(image.convert("RGB"))
        size += pixels.nbytes
        if size > MOST:
            raise DataError(
                f"frames: {path.name} has more than {MOST // 2**30} GB of frames. Take fewer with ?every=, or cut it."
            )
        name, place = f"{path.stem}-{frame.number:06d}", len(dataset.items)
        dataset.items.append(Item(name, -1, ArraySource(pixels), domain=path.stem, frame=place))
    return dataset
