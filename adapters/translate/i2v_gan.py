"""I2V-GAN: Recycle-GAN for infrared films, with contrast of patches between looks and across frames."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from adapters.translate.base import Losses
from adapters.translate.losses.patch_nce import Projection, patch_nce, sampled_places
from adapters.translate.recycle_gan import RecycleGan, RecycleGanParams, Way
from studio.core.registry import register
from studio.core.streams import Step

LEAST = 1e-4  # a contrast below this is taken for this, so that ratios stay finite


class I2vGanParams(RecycleGanParams):
    cycle: float = Field(10.0, ge=0, le=1000, description="weight of the difference after the way there and back")
    contrast: float = Field(0.1, ge=0, le=100, description="weight of the contrast of places between both looks")
    across: float = Field(
        40.0, ge=0, le=1000, description="weight of contrasts between frames changing as they do in the film"
    )
    patches: int = Field(64, ge=2, le=4096, description="places of each map that are compared")
    temperature: float = Field(0.07, gt=0, le=10, description="of the contrast: smaller looks at the nearest alone")


@register("translate/i2v-gan")
class I2vGan(RecycleGan):
    """The losses of Recycle-GAN and CycleGAN (its cycles and its identity loss); patch contrast between a frame and
    what is made of it (external similarity); and across frames: the ratio of the contrasts of frames 1:2 and 2:3, place
    by place, is to have the direction that it has in the film (internal similarity, a cosine).

    Differences are of pixels; the paper adds those of a VGG-19. Weights 0.1 and 40 for the contrasts are of its code.
    """

    title = "I2V-GAN"
    paper = "Li et al. 2021, I2V-GAN: Unpaired Infrared-to-Visible Video Translation, ACM MM"
    Params = I2vGanParams
    generating = ("generator", "generator_back", "predictor", "predictor_back", "projection", "projection_back")

    def networks(self, image_size: int) -> dict[str, nn.Module]:
        parts = super().networks(image_size)
        for side in ("", "_back"):
            parts[f"projection{side}"] = Projection(parts[f"generator{side}"].tapped_channels)
        return parts

    def more(self, way: Way, made: list[Tensor], at: Step) -> Losses:
        losses, clip, params = super().more(way, made, at), way.clip, self.params
        if not (params.contrast or params.across):
            return losses
        made = [*made, way.there(clip.last)] if params.across else made[:1]
        of_film = [self._maps(way, images) for images in (clip.images, clip.following, clip.last)[: len(made)]]
        of_made = [self._maps(way, images) for images in made]
        places = sampled_places(of_film[0], params.patches)
        project = self.module[f"projection{way.ending}"]
        film, other = ([project(maps, places) for maps in side] for side in (of_film, of_made))
        contrasts = [clip.mean(self._nce(*pair)) for pair in zip(other[0], film[0], strict=True)]
        losses[f"contrast{way.ending}"] = params.contrast * torch.stack(contrasts).mean()
        if params.across:
            ratios = zip(
                self._ratios(other), self._ratios([list(map(Tensor.detach, side)) for side in film]), strict=True
            )
            turns = [1 - cosine_similarity(own, wanted, dim=1) for own, wanted in ratios]
            losses[f"across{way.ending}"] = params.across * torch.stack([clip.mean(turn) for turn in turns]).mean()
        return losses

    def _maps(self, way: Way, images: Tensor) -> list[Tensor]:
        return self.module[way.generator].tapped(images)

    def _nce(self, query: Tensor, key: Tensor) -> Tensor:
        return patch_nce(query, key, self.params.temperature)

    def _ratios(self, frames: list[list[Tensor]]) -> list[Tensor]:
        """For each map, contrasts of frames 1 and 2 over those of 2 and 3, [B, P]."""
        first, second, third = frames
        return [
            self._nce(a, b).clamp_min(LEAST) / self._nce(b, c).clamp_min(LEAST)
            for a, b, c in zip(first, second, third, strict=True)
        ]
