"""How much memory a training needs: its generator's phase is rehearsed on tensors that have a shape and no memory."""

from functools import lru_cache

import torch
from torch import Tensor

from adapters.translate.base import Translator
from adapters.translate.task import IMAGE_SIZE
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.recipe import Recipe
from studio.core.streams import Batch, Step, StreamBatches

STATES = 4  # of each weight in memory: itself, its gradient, Adam's two means
AT_WORK = 1.15  # what the largest layers need beside, as a factor
RUNTIME = 2**29  # bytes that the device's own libraries take


def memory_gb(recipe: Recipe) -> float:
    """GB that training by this recipe needs, with numbers of 32 bits."""
    rows = min(recipe.train.micro_batch or recipe.train.batch_size, recipe.train.batch_size)
    return _rehearsed(
        recipe.method, recipe.method_params().model_dump_json(), recipe.model.image_size or IMAGE_SIZE, rows
    )


@lru_cache(maxsize=64)
def _rehearsed(method: str, params: str, side: int, rows: int) -> float:
    cls = registry.get(method)
    learner = cls(cls.Params.model_validate_json(params))
    with torch.device("meta"):
        module = learner.setup(LearnerContext(None, [], 0, side))
    weights = sum(parameter.nbytes for parameter in module.parameters())
    buffers = sum(buffer.nbytes for buffer in module.buffers())
    kept = _kept_for_the_way_back(learner, _batch(learner, rows, side))
    return (STATES * weights + 2 * buffers + AT_WORK * kept + RUNTIME) / 1e9


def _batch(learner: Translator, rows: int, side: int) -> Batch | StreamBatches:
    def blank() -> Tensor:
        return torch.empty(rows, 3, side, side, device="meta")

    if learner.paired:
        return Batch(images=blank(), targets=blank())
    names = ("images", "following", "last") if learner.clips else ("images",)
    sides = [Batch(**{name: blank() for name in names}) for _ in range(2)]
    return StreamBatches(source=sides[0], target=sides[1])


def _kept_for_the_way_back(learner: Translator, batch: Batch | StreamBatches) -> int:
    """Bytes of all that the losses of the generator's phase keep until their gradient is taken, weights left out."""
    own = {id(parameter) for parameter in learner.module.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in own:
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = learner.generate(batch, Step(0, 1))
        total = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del losses
    return total
