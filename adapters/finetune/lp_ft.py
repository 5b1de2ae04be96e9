"""LP-FT: a linear probe first, then everything."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from adapters.finetune.full import Full, FullParams
from adapters.finetune.linear_probe import LinearProbe, LinearProbeParams
from studio.core.registry import register

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


class LpFtParams(FullParams):
    backbone_lr: float = Field(
        0.05, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr"
    )
    head_lr: float = Field(
        0.05,
        ge=0,
        le=10,
        description="learning rate of the solved head, as a multiple of train.lr; larger ones undo it",
    )
    head: Literal["probe"] = Field("probe", description="what the new head starts from: the solved linear probe")
    c: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description="inverse strength of the probe's L2 penalty; null chooses it by cross-validation"
    )


@register("finetune/lp-ft")
class LpFt(Full):
    """Starts full fine-tuning from the solved linear probe instead of a random head.

    A random head sends large, aimless gradients into the backbone in the first steps and distorts the
    pretrained features; a solved head does not. Kumar et al. 2022, section 3.
    """

    title = "Linear probe, then full fine-tuning"
    paper = "Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features"
    Params = LpFtParams

    def solved_head(self, features: "np.ndarray", labels: "np.ndarray") -> "nn.Linear":
        probe = LinearProbe(LinearProbeParams(c=self.params.c))
        return probe.fit(features, labels, classes=self.module.head.out_features).linear()
