"""What all methods of style share: they look at images of a style, and then give others that style."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from studio.core.faces import Learner, LearnerContext
from studio.core.streams import Stream

Source = Stream("source", blind=True)


class Stylist(Learner):
    """Images in 0..1 of any size -> the same in a style.

    Most are ready once they have looked at the style (`learn_style`) and can look at another at any time; where
    `trains`, a network is trained first.
    """

    task = "translate"
    uses = ("data.target", "data.source", "model.image_size")
    train_keys = ("seed", "workers")
    takes_checkpoint = False
    #: a network is trained on data.source, in the one loop
    trains: ClassVar[bool] = False
    #: when it is used, it can be shown another style than it learned
    any_style: ClassVar[bool] = True
    #: only colours change: images are taken at their own size
    own_size: ClassVar[bool] = False
    #: what `data.target` may be: one image at least
    streams = (Source,)

    def setup(self, context: LearnerContext) -> nn.Module:
        self.module = nn.Module()
        return self.module

    def learn_style(self, images: list[Tensor]) -> None:
        """Looks at images [3, h, w] in 0..1 of the style; what it keeps are tensors of the module."""
        raise NotImplementedError

    def stylize(self, images: Tensor, strength: float = 1.0) -> Tensor:
        """Images [B, 3, H, W] in 0..1 in the style, clipped; at strength 0 about as they were."""
        raise NotImplementedError

    def style_loss_of(self, images: Tensor) -> Tensor | None:
        """How far images [B, 3, H, W] are from the style, by its own loss: [B]; None where it has none."""
        return None

    def keep(self, **tensors: Tensor) -> None:
        """Registers tensors as buffers of the module, instead of those of the same name."""
        device = next((tensor.device for tensor in self.module.buffers()), torch.device("cpu"))
        for name, tensor in tensors.items():
            self.module.register_buffer(name, tensor.detach().to(device))

    def load_state(self, state: dict[str, Tensor]) -> None:
        """What was kept of a style has shapes of its own; networks are within parts of the module."""
        self.keep(**{name: tensor for name, tensor in state.items() if "." not in name})
        self.module.load_state_dict(state)


def at_multiple(images: Tensor, multiple: int) -> Tensor:
    """Images continued by their last pixels, to sides in multiples of so many pixels."""
    height, width = images.shape[-2:]
    return pad(images, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def blended(images: Tensor, made: Tensor, strength: float) -> Tensor:
    """Between the images and what was made of them, clipped to 0..1."""
    return (images + strength * (made - images)).clamp(0, 1)
