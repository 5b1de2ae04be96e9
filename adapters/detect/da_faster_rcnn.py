"""DA-Faster R-CNN: features from which nobody can tell whether an image is of the source or of the target."""

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.detect.domain_heads import SOURCE, TARGET, DomainHeads
from adapters.detect.faster_rcnn import FasterRcnn, FasterRcnnParams
from adapters.detect.two_stage import propose_unlabelled, rpn_roi_losses
from adapters.finetune.classifier import whole_state
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Source, Step, StreamBatches, Target


class DaFasterRcnnParams(FasterRcnnParams):
    adversary: float = Field(0.01, ge=0, le=10, description="weight of the losses that make the domains alike")


@register("detect/da-faster-rcnn")
class DaFasterRcnn(FasterRcnn):
    """Faster R-CNN whose maps and regions learn to hide their domain from networks that learn to see it.

    One adversary looks at every place of the pyramid's maps, one at the features of every region; a third loss has
    both say the same. Chen et al. 2018, section 4 (eq. 5-8), with a feature pyramid in place of one map.
    """

    title = "DA-Faster R-CNN"
    paper = "Chen et al. 2018, Domain Adaptive Faster R-CNN for Object Detection in the Wild"
    Params = DaFasterRcnnParams
    streams = (Source, Target)
    uses = ("data.source", "data.target", "train.epochs", "train.lr")

    def setup(self, context: LearnerContext) -> nn.Module:
        if self.params.heads_only:
            raise UsageError("params.heads_only: this method has the backbone learn to hide the domain; leave it out.")
        super().setup(context)
        if context.training:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(context.seed)
                self.module.aids = DomainHeads(self.params.width, self.params.hidden)
        return self.module

    def losses(self, batch: StreamBatches, at: Step) -> dict[str, Tensor]:
        supervised, source = rpn_roi_losses(self.module, batch.source.images, self.targets(batch.source), self.hard)
        target = propose_unlabelled(self.module, batch.target.images)
        by_domain = [
            {
                name: stream.mean(value)
                for name, value in self.module.aids.losses(
                    list(regions.maps.values()), regions.features, regions.image_of, domain
                ).items()
            }
            for regions, domain, stream in ((source, SOURCE, batch.source), (target, TARGET, batch.target))
        ]
        return supervised | {
            name: self.params.adversary * sum(of_domain[name] for of_domain in by_domain) / 2 for name in by_domain[0]
        }

    def state(self) -> dict[str, Tensor]:
        return whole_state(self.module)
