"""A checkpoint brought to life: what `load_checkpoint`, `predict` and the page's Try it stand on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from studio.core import registry
from studio.core.answers import Answer, Unreadable
from studio.core.errors import UsageError, nearest
from studio.core.home import Home
from studio.core.procedure import Predictor
from studio.data.files.images import BadImage, read_image
from studio.data.files.layout import part
from studio.data.files.video import is_video
from studio.data.readers.folder import walk
from studio.device.manager import DeviceManager
from studio.store import Checkpoint, Store
from studio.store.looking import looking

BATCH = 16  # images at most that are looked at together: of 32 the activations alone may take 700 MB
PIXELS = 24_000_000  # of a batch, after which no further image is decoded: some 100 MB

Photo = str | Path | Image.Image


@dataclass
class Prediction:
    """An image, or a frame of a film, with its answer."""

    name: str  # the path that was given; "image" for one in memory
    answer: Answer
    image: Image.Image | None = None  # upright RGB; None where it can't be read
    frame: int | None = None
    time_s: float | None = None
    drawn: Path | None = None  # where the image is with its answer drawn on it

    @property
    def where(self) -> dict[str, Any]:
        """Which frame it is, and where it is drawn; empty where neither is."""
        facts = {"frame": self.frame, "time_s": self.time_s, "drawn": str(self.drawn) if self.drawn else None}
        return {key: value for key, value in facts.items() if value is not None}

    def to_dict(self, topk: int = 5) -> dict[str, Any]:
        """Plain data: {image, and what the answer says}."""
        return {"image": self.name, **self.answer.to_dict(topk), **self.where}

    def records(self) -> list[dict[str, Any]]:
        """Rows of a table file."""
        return [{"image": self.name, **record, **self.where} for record in self.answer.records()]


class Model:
    """A checkpoint that predicts."""

    def __init__(self, checkpoint: Any, predictor: Any) -> None:
        self.checkpoint, self.predictor = checkpoint, predictor
        self.classes: list[str] = predictor.classes

    def predict(self, images: Iterable[Photo], topk: int = 5) -> list[dict[str, Any]]:
        """One dict an image: {image, label, score, topk: [{label, score}], ...}; score is a probability 0..1.

        A detector gives {image, width, height, boxes: [{label, score, box: [x1, y1, x2, y2] in pixels}]}, and label
        and score of the surest box, None where it finds nothing; `topk` says nothing then.
        A network for masks gives {image, width, height, classes: [{label, score, area_percent, rle (COCO's)}]}.
        A file that can't be read gives {image, error} in its place.
        """
        return [prediction.to_dict(topk) for prediction in self.look(images)]

    def look(self, images: Iterable[Photo]) -> Iterator[Prediction]:
        """Each image with its answer, in order. Few are in memory at a time, however many there are."""
        for batch in _batches(images, self.predictor.min_side):
            readable = [prediction for prediction in batch if prediction.image is not None]
            answers = self.predictor.answers([prediction.image for prediction in readable]) if readable else []
            for prediction, answer in zip(readable, answers, strict=True):
                prediction.answer = answer
            readable.clear()
            while batch:
                yield batch.pop(0)


def _batches(images: Iterable[Photo], min_side: int | None) -> Iterator[list[Prediction]]:
    """Decoded images, as many together as `BATCH` and `PIXELS` allow, but one at least."""
    batch, pixels = list[Prediction](), 0
    for image in images:
        batch.append(_open(image, min_side))
        pixels += batch[-1].image.width * batch[-1].image.height if batch[-1].image else 0
        if len(batch) == BATCH or pixels >= PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def load_checkpoint(
    name: str, home: Home | None = None, device: str = "auto", look: Mapping[str, Any] | None = None
) -> Model:
    """The checkpoint of this id, tag or run, ready to predict. Raises UsageError for an unknown name.

    A detector looks as its recipe's `eval` says; `look` changes that: {"mirror": True, "scales": [0.75, 1, 1.25],
    "ensemble": ["another"], "fusion": "wbf", "overlap": 0.55}.

    A classifier that was trained whole can adapt to the images while it answers: {"adapt": "tent"}, or another of
    `online_methods`. It begins anew with each call of this function.
    """
    home, look = home or Home.find(), dict(look or {})
    store = Store(home)
    checkpoint = store.checkpoint(name)
    adapt = look.pop("adapt", None)
    if look:
        checkpoint = looking(checkpoint, look)
    procedure = registry.procedure_for(registry.get(checkpoint.manifest.method))
    with DeviceManager(home).lease(device, memory_gb=1.0, interactive=True) as lease:
        if adapt:
            return Model(checkpoint, _adapting(checkpoint, adapt, lease.device, home))
        return Model(checkpoint, procedure.restore(checkpoint, lease.device, home, store))


def online_methods() -> dict[str, type[registry.Method]]:
    """The methods that adapt while they predict, by the last part of their id."""
    return {cls.id.rpartition("/")[2]: cls for cls in registry.methods() if getattr(cls, "online", False)}


def _adapting(checkpoint: Checkpoint, name: str, device: str, home: Home) -> Predictor:
    methods = online_methods()
    if name not in methods:
        known = ", ".join(sorted(methods))
        raise UsageError(f"adapt: found {name!r}; expected one of {known}.{nearest(name, methods)}")
    return registry.procedure_for(methods[name]).adapting(checkpoint, methods[name], device, home)


def teach_checkpoint(
    name: str, images: dict[str, Sequence[str | Path | Image.Image]], home: Home | None = None, predictor: Any = None
) -> Any:
    """A new checkpoint that also knows `images` (by class, known or new); its lineage names the old one.

    `predictor` is the checkpoint's own where it is loaded already: that saves loading it again.

    Raises UsageError where the method can't be taught without training, or a photo can't be read.
    """
    home = home or Home.find()
    store = Store(home)
    checkpoint = store.checkpoint(name)
    procedure = registry.procedure_for(registry.get(checkpoint.manifest.method))
    if not hasattr(procedure, "teach"):
        raise UsageError(
            f"{checkpoint.id} was made by {checkpoint.manifest.method}, which can't be taught; few-shot ones can."
        )
    opened = {label: [read_for_people(image) for image in given] for label, given in images.items()}
    with DeviceManager(home).lease("auto", memory_gb=1.0, interactive=True) as lease:
        return procedure.teach(checkpoint, opened, device=lease.device, home=home, store=store, predictor=predictor)


def split_films(paths: Iterable[str | Path]) -> tuple[list[Path], list[Path]]:
    """Images and folders, and video files, among `paths`."""
    films = [path for path in map(Path, paths) if is_video(path)]
    return [path for path in map(Path, paths) if not is_video(path)], films


@dataclass(frozen=True)
class Files:
    """Image files, and those beside them in the same folders that are none."""

    images: list[Path]
    left_out: list[Path]

    @property
    def note(self) -> str:
        """What was left out, in a sentence; empty where nothing was."""
        if not self.left_out:
            return ""
        named = ", ".join(map(str, self.left_out[:5])) + (" ..." if len(self.left_out) > 5 else "")
        return f"Left out, as no image files that are read here: {named} ({len(self.left_out)} in all)."


def image_files(paths: Iterable[str | Path]) -> Files:
    """Image files among `paths`; folders are searched as training does: by content, whatever the suffix.

    Raises UsageError for what isn't there, or holds no image.
    """
    images, left_out = list[Path](), list[Path]()
    for path in map(Path, paths):
        if path.is_dir():
            images_below, others = part(walk(path)[0])
            images += [path / name for name in images_below]
            left_out += [path / name for name in others]
        elif path.exists():
            images.append(path)
        else:
            raise UsageError(f"There is no file or folder {path}.")
    if not images:
        raise UsageError(f"No image was found in the given paths. {Files(images, left_out).note}".strip())
    return Files(images, left_out)


def read_for_people(image: Photo) -> Image.Image:
    """The image, RGB and upright. Raises UsageError with the reason where it can't be read."""
    opened = _open(image)
    if opened.image is None:
        raise UsageError(opened.answer.line())
    return opened.image


def _open(image: Photo, min_side: int | None = None) -> Prediction:
    """The image, still without its answer, or the reason why it can't be read."""
    if isinstance(image, Image.Image):
        return Prediction("image", Answer(), image.convert("RGB"))
    try:
        return Prediction(str(image), Answer(), read_image(Path(image), str(image), min_side))
    except BadImage as error:
        return Prediction(str(image), Unreadable(str(error)))
