"""A checkpoint brought to life: what `load_checkpoint`, `predict` and the page's Try it stand on."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.home import Home
from studio.core.procedure import BoxPredictor
from studio.core.recipe import stored, validate
from studio.data.boxes import Detections
from studio.data.files.images import BadImage, read_image
from studio.data.files.video import is_video
from studio.device.manager import DeviceManager
from studio.store import Checkpoint, Store

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
BATCH = 32


class Model:
    """A checkpoint that predicts."""

    def __init__(self, checkpoint: Any, predictor: Any) -> None:
        self.checkpoint, self.predictor = checkpoint, predictor
        self.classes: list[str] = predictor.classes

    def predict(self, images: Iterable[str | Path | Image.Image], topk: int = 5) -> list[dict[str, Any]]:
        """One dict an image: {image, label, score, topk: [{label, score}], ...}; score is a probability 0..1.

        A detector gives {image, width, height, boxes: [{label, score, box: [x1, y1, x2, y2] in pixels}]}, and label
        and score of the surest box, None where it finds nothing; `topk` says nothing then.
        A file that can't be read gives {image, error} in its place.
        """
        return [row for batch in _batches(list(images)) for row in self._predict_batch(batch, topk)]

    def _predict_batch(self, batch: Sequence[str | Path | Image.Image], topk: int) -> list[dict[str, Any]]:
        opened = [_open(image) for image in batch]
        good = [image for image in opened if isinstance(image, Image.Image)]
        if isinstance(self.predictor, BoxPredictor):
            return self._boxes(batch, opened, good)
        scores = iter(self.predictor.scores(good)) if good else iter(())
        extras = iter(self.predictor.extras(good)) if good else iter(())
        rows = []
        for given, image in zip(batch, opened, strict=True):
            name = "image" if isinstance(given, Image.Image) else str(given)
            if isinstance(image, Image.Image):
                rows.append({"image": name, **self._row(next(scores), topk), **next(extras)})
            else:
                rows.append({"image": name, "error": image})
        return rows

    def _boxes(self, given: Sequence[Any], opened: Sequence[Any], good: list[Image.Image]) -> list[dict[str, Any]]:
        """The rows of a detector: boxes from its threshold on, the surest first."""
        found = iter(self.predictor.boxes(good)) if good else iter(())
        rows = []
        for source, image in zip(given, opened, strict=True):
            name = "image" if isinstance(source, Image.Image) else str(source)
            if isinstance(image, Image.Image):
                rows.append(
                    {"image": name, **_box_row(next(found).above(self.predictor.threshold), image, self.classes)}
                )
            else:
                rows.append({"image": name, "error": image})
        return rows

    def draw(self, image: str | Path | Image.Image, row: dict[str, Any]) -> Image.Image:
        """The image with the boxes of its row from `predict` drawn on it. Raises UsageError where it can't be read."""
        from studio.figures.boxes import draw_detections

        boxes = row.get("boxes", [])
        labels = np.array([self.classes.index(box["label"]) for box in boxes], np.int64)
        corners = np.array([box["box"] for box in boxes], np.float32).reshape(-1, 4)
        found = Detections(corners, labels, np.array([box["score"] for box in boxes], np.float32))
        return draw_detections(read_for_people(image), found, self.classes)

    def _row(self, scores: Any, topk: int) -> dict[str, Any]:
        order = scores.argsort()[::-1][:topk]
        ranked = [{"label": self.classes[i], "score": round(float(scores[i]), 6)} for i in order]
        return {**ranked[0], "topk": ranked}


def _box_row(found: Detections, image: Image.Image, classes: list[str]) -> dict[str, Any]:
    boxes = [
        {"label": classes[label], "score": round(float(score), 6), "box": [round(float(one), 2) for one in corners]}
        for corners, label, score in zip(found.xyxy, found.labels, found.scores, strict=True)
    ]
    first = {key: boxes[0][key] if boxes else None for key in ("label", "score")}
    return {**first, "width": image.width, "height": image.height, "boxes": boxes}


def load_checkpoint(
    name: str, home: Home | None = None, device: str = "auto", look: Mapping[str, Any] | None = None
) -> Model:
    """The checkpoint of this id, tag or run, ready to predict. Raises UsageError for an unknown name.

    A detector looks as its recipe's `eval` says; `look` changes that: {"mirror": True, "scales": [0.75, 1, 1.25],
    "ensemble": ["another"], "fusion": "wbf", "overlap": 0.55}.
    """
    home = home or Home.find()
    store = Store(home)
    checkpoint = store.checkpoint(name)
    if look:
        checkpoint = _looking(checkpoint, look)
    procedure = registry.procedure_for(registry.get(checkpoint.manifest.method))
    with DeviceManager(home).lease(device, memory_gb=1.0, interactive=True) as lease:
        return Model(checkpoint, procedure.restore(checkpoint, lease.device, home, store))


def _looking(checkpoint: Checkpoint, look: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint with other ways of looking in its recipe. Raises UsageError for a key that is not one of them."""
    manifest = checkpoint.manifest
    task = registry.task_named(manifest.task)
    if not task.looks:
        raise UsageError(
            f"{checkpoint.id} was made by {manifest.method} for task {task.name}, which takes no {', '.join(look)}."
        )
    if unknown := [key for key in look if key not in task.looks]:
        raise UsageError(f"look: unknown key {unknown[0]!r}.{nearest(unknown[0], task.looks)}")
    recipe = stored({"task": task.name, **manifest.recipe})
    settings = {**recipe.eval.model_dump(exclude_defaults=True), **look}
    validate(task.Eval, settings, "look")
    return checkpoint.with_recipe({**manifest.recipe, "eval": settings})


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
    """Pictures and folders, and video files, among `paths`."""
    films = [path for path in map(Path, paths) if is_video(path)]
    return [path for path in map(Path, paths) if not is_video(path)], films


def image_files(paths: Iterable[str | Path]) -> list[Path]:
    """Image files among `paths`; folders are searched through. Raises UsageError for what isn't there."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        elif path.exists():
            found.append(path)
        else:
            raise UsageError(f"There is no file or folder {path}.")
    if not found:
        raise UsageError("No image was found in the given paths.")
    return found


def _batches(images: list[Any]) -> Iterable[list[Any]]:
    return (images[start : start + BATCH] for start in range(0, len(images), BATCH))


def read_for_people(image: str | Path | Image.Image) -> Image.Image:
    """The picture, RGB and upright. Raises UsageError with the reason where it can't be read."""
    opened = _open(image)
    if isinstance(opened, str):
        raise UsageError(opened)
    return opened


def _open(image: str | Path | Image.Image) -> Image.Image | str:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    try:
        return read_image(Path(image), str(image))
    except BadImage as error:
        return str(error)
