"""Going on from a detector of other classes: all is taken over, of the heads the rows of shared classes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.core.errors import StoreError
from studio.data.boxes import shared


@dataclass(frozen=True)
class ClassRows:
    """How the first axis of a tensor holds the classes: [groups, before + classes + after, each].

    `before` and `after` are rows for background or "no object"; groups are the anchors of a place.
    """

    before: int = 0
    after: int = 0
    each: int = 1

    def laid_out(self, tensor: Tensor, classes: int) -> Tensor:
        """A view [groups, before + classes + after, each, ...] of a tensor made for so many classes."""
        return tensor.view(-1, self.before + classes + self.after, self.each, *tensor.shape[1:])


@torch.no_grad()
def take_over(
    own: dict[str, Tensor], state: dict[str, Tensor], before: Sequence[str], classes: Sequence[str],
    rows: dict[str, ClassRows],
) -> list[str]:  # fmt: skip
    """Copies `state`, made for the classes `before`, into tensors made for `classes`; returns the classes it knew.

    Classes match by name, whatever their case. Rows of classes that are new stay as they are. `rows` says which
    tensors have some for each class, by a pattern in their name. Raises StoreError where another tensor does not fit.
    """
    was = {name.casefold(): place for place, name in enumerate(before)}
    known = shared(before, classes)
    new, old = [classes.index(name) for name in known], [was[name.casefold()] for name in known]
    for name, tensor in own.items():
        plain = name.replace(".base_layer", "")  # where peft has wrapped the layer
        layout = next((one for pattern, one in rows.items() if re.search(pattern, plain)), None)
        if plain not in state:
            if ".lora_" not in name:
                raise StoreError(f"The checkpoint does not fit this detector: it lacks {plain}.")
        elif layout is not None:
            here, there = layout.laid_out(tensor, len(classes)), layout.laid_out(state[plain], len(before))
            here[:, : layout.before] = there[:, : layout.before].to(here)
            here[:, here.shape[1] - layout.after :] = there[:, there.shape[1] - layout.after :].to(here)
            here[:, [layout.before + place for place in new]] = there[:, [layout.before + p for p in old]].to(here)
        elif tensor.shape != state[plain].shape:
            raise StoreError(
                f"The checkpoint does not fit this detector: {plain} is {tuple(state[plain].shape)} there and "
                f"{tuple(tensor.shape)} here. Use its params and image size."
            )
        else:
            tensor.copy_(state[plain])
    return known


def said_of_kept(source: str, known: Sequence[str], classes: Sequence[str]) -> str:
    """What a run says that starts from `source`, which knew some of its classes."""
    new = [name for name in classes if name not in known]
    return (
        f"Starts from {source}; its heads are made anew for {len(classes)} classes. Keep their weights: "
        f"{', '.join(known[:20]) or 'none'}. New: {', '.join(new[:20]) or 'none'}."
    )
