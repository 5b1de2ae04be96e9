"""IBN: half of the channels of early layers are normalised image by image, which takes their style away."""

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones import Backbone
from adapters.generalize.base import GeneralizeParams, Generalizer
from studio.core.errors import UsageError
from studio.core.registry import register
from studio.device.norms import batch_norms


class IbnParams(GeneralizeParams):
    depth: float = Field(13 / 16, gt=0, le=1, description="share of the blocks, from the image on, that are changed")


@register("generalize/ibn")
class Ibn(Generalizer):
    """The first batch norm of each early block becomes half an instance norm; the last blocks stay as they are.

    Pan et al. 2018, section 3.2 (IBN-a), in a network that was pretrained without it: the pretrained scales stay. What
    comes into a batch norm is first given, image by image, the running mean and variance, so that for those channels it
    puts out the instance norm with its own scale and shift.
    """

    title = "IBN-Net"
    paper = "Pan et al. 2018, Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net"
    Params = IbnParams

    def attach(self) -> None:
        attach_ibn(self.module.backbone, self.params.depth, self.id)

    def export_module(self) -> None:
        """The layers alone do not compute the same."""
        return


def attach_ibn(backbone: Backbone, depth: float, who: str) -> None:
    """Changes the first batch norm of each of the first blocks of a backbone, `depth` of them as a share.

    Raises UsageError, naming `who` asked, where they have none.
    """
    blocks = backbone.layers()
    firsts = [norms[0] for norms in map(batch_norms, blocks[: max(1, round(depth * len(blocks)))]) if norms]
    if not firsts:
        raise UsageError(f"{who} changes batch norms, of which {backbone.spec} has none in its early blocks.")
    for norm in firsts:
        norm.register_forward_pre_hook(instance_normalise)


def instance_normalise(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """The first half of the channels of maps [B, C, h, w], each image's, with the norm's running mean and variance."""
    (maps,) = inputs
    half = maps.shape[1] // 2
    styled = maps[:, :half].float()
    variance, mean = torch.var_mean(styled, dim=(2, 3), keepdim=True, correction=0)
    scale = (norm.running_var[:half] + norm.eps).sqrt().view(1, -1, 1, 1) / (variance + norm.eps).sqrt()
    styled = (styled - mean) * scale + norm.running_mean[:half].view(1, -1, 1, 1)
    return (torch.cat([styled.to(maps.dtype), maps[:, half:]], dim=1),)
