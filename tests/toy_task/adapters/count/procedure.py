"""From a count recipe to its outcome, and from a checkpoint to answers that are drawn."""

from typing import Any

import numpy as np
import torch
from PIL import Image

from adapters.count.blobs import Blobs
from studio.core import registry
from studio.core.answers import Answer
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import procedure
from studio.data import open_data, read_image
from studio.engine.manifest import manifest_of


class CountAnswer(Answer):
    """How many objects an image shows, and where."""

    def __init__(self, count: int, regions: np.ndarray) -> None:
        self.count, self.regions = count, regions

    def to_dict(self, topk: int = 5) -> dict[str, Any]:
        return {"label": str(self.count), "score": 1.0, "count": self.count}

    def draw(self, image: Image.Image) -> Image.Image:
        pixels = np.array(image.convert("RGB"))
        pixels[self.regions > 0] = (255, 0, 0)
        return Image.fromarray(pixels)


class Counter(Predictor):
    def __init__(self, method: Blobs) -> None:
        self.method, self.classes = method, []

    def answers(self, images: list[Image.Image]) -> list[Answer]:
        return [CountAnswer(*self.method.count(image)) for image in images]


@procedure
class Counting(Procedure):
    """Runs every method of task count."""

    task = "count"
    face = Blobs

    def run(self, job: Job) -> Outcome:
        data = open_data(job.recipe.data.images)
        counts = [job.method.count(read_image(item.source, item.name))[0] for item in data.items]
        right = [
            abs(count - int(data.classes[item.label])) <= job.recipe.eval.tolerance
            for count, item in zip(counts, data.items, strict=True)
        ]
        metrics = {"accuracy": float(np.mean(right)), "selection": job.recipe.eval.selection}
        tensors = {"above": torch.tensor([job.method.params.above])}
        return Outcome(metrics, job.store.put(manifest_of(job, [], metrics, None), tensors).id)

    def restore(self, checkpoint: Any, device: str, home: Home, store: Any) -> Counter:
        cls = registry.get(checkpoint.manifest.method)
        return Counter(cls(cls.Params(**checkpoint.manifest.params)))
