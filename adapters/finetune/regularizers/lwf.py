"""Learning without Forgetting: the pretrained classifier keeps answering as it did."""

import torch
from torch import Tensor
from torch.nn import functional

from adapters.finetune.regularizers.base import Forward, Frozen, Regularizer, source_head

TEMPERATURE = 2.0


class Lwf(Regularizer):
    """Distillation from the pretrained network's answers on the new images to those of the network now.

    Cross-entropy of softened probabilities, T = 2. Li and Hoiem 2016, eq. 2-4. The answers are those on the
    augmented batch, so the pretrained network runs along.
    """

    name = "lwf"
    paper = "Li and Hoiem 2016, Learning without Forgetting"
    default_strength = 1.0

    def remember(self) -> None:
        head = source_head(self.classifier.backbone, self.name)
        self.classifier.aids["source"] = head
        self.source, self.source_head = Frozen(self.classifier.backbone), Frozen(head)

    def penalty(self, forward: Forward) -> Tensor:
        device = forward.images.device
        with torch.no_grad():
            before = self.source_head.on(device)(self.source.on(device)(forward.images))
        now = self.classifier.aids["source"](forward.features)
        return functional.cross_entropy(now / TEMPERATURE, (before / TEMPERATURE).softmax(dim=1))
