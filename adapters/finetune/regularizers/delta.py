"""DELTA: feature maps stay near those of the pretrained network, the important channels most."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapters.finetune.regularizers.base import Forward, Frozen, Regularizer
from studio.core.errors import UsageError

LAYERS = 4  # feature maps that are held, evenly spaced in depth


class Delta(Regularizer):
    """Over some layers, 1/2 sum_j W_j C / P |FM_j(w, x) - FM_j(w0, x)|^2, the mean over a batch.

    C channels, P places. W is a softmax over channels of how much the loss grows without the channel;
    that growth is estimated to first order (minus gradient times activation) on the pretrained network
    under the present head. Li et al. 2019, eq. 6-8. Costs a second forward and backward pass.
    """

    name = "delta"
    paper = "Li et al. 2019, DELTA: Deep Learning Transfer using Feature Map with Attention"
    default_strength = 0.01

    def remember(self) -> None:
        self.source = Frozen(self.classifier.backbone)

    def attach(self) -> None:
        self._now: list[Tensor] = []
        self.classifier.backbone.register_forward_pre_hook(lambda *_: self._now.clear())
        for layer in chosen(self.classifier.backbone):
            layer.register_forward_hook(self._keep)

    def penalty(self, forward: Forward) -> Tensor:
        now = list(self._now)
        before, growth = self._before(forward)
        total = forward.features.new_zeros(())
        for new, old, lost in zip(now, before, growth, strict=True):
            if new.shape != old.shape:
                raise UsageError(
                    f"params.regularizer: {self.name} compares feature maps with those of the pretrained network, "
                    "and this method adds tokens to them. l2-sp and bss fit it."
                )
            total = total + distance(new, old, functional.softmax(lost, dim=0))
        return total

    def _before(self, forward: Forward) -> tuple[list[Tensor], list[Tensor]]:
        """Feature maps of the pretrained network, and how much the loss grows without each channel [C]."""
        source = self.source.on(forward.images.device)
        held: list[Tensor] = []

        def keep(_: nn.Module, __: tuple, output: Tensor | tuple) -> None:
            held.append(output if isinstance(output, Tensor) else output[0])

        hooks = [layer.register_forward_hook(keep) for layer in chosen(source)]
        try:
            with torch.enable_grad():
                features = source(forward.images.detach().requires_grad_(True))
                head = self.classifier.head
                logits = functional.linear(features, head.weight.detach(), head.bias.detach())
                loss = functional.cross_entropy(logits, forward.labels)
                slopes = torch.autograd.grad(loss, held)
        finally:
            for hook in hooks:
                hook.remove()
        maps = [self._channels_first(one.detach()) for one in held]
        slopes = [self._channels_first(slope) for slope in slopes]
        return maps, [-(slope * one).sum(dim=(0, 2)) for slope, one in zip(slopes, maps, strict=True)]

    def _keep(self, _: nn.Module, __: tuple, output: Tensor | tuple) -> None:
        if torch.is_grad_enabled():
            self._now.append(self._channels_first(output if isinstance(output, Tensor) else output[0]))

    def _channels_first(self, output: Tensor) -> Tensor:
        """A layer's output as [B, C, P]: maps [B, C, h, w], tokens [B, N, C], or a transformer's maps [B, h, w, C]."""
        if self.classifier.backbone.kind == "cnn" and output.ndim == 4:
            return output.flatten(2)
        return output.flatten(1, -2).transpose(1, 2)


def distance(new: Tensor, old: Tensor, weights: Tensor) -> Tensor:
    """Weighted squared distance of feature maps [B, C, P], weights [C] that sum to 1."""
    _, channels, places = new.shape
    squares = (new - old).square().sum(dim=2)
    return 0.5 * (squares * weights).sum(dim=1).mean() * channels / places


def chosen(backbone: nn.Module) -> list[nn.Module]:
    """The layers whose maps are held, the last one included."""
    layers = backbone.layers()
    count = min(LAYERS, len(layers))
    return [layers[(place + 1) * len(layers) // count - 1] for place in range(count)]
