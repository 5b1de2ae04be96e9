"""Memory that adapting a network needs, counted without a GPU: weights, moments, copies, and what backward keeps.

    python benchmarks/segment_memory.py [--views 2]

Untrained networks look at one image; what their layers keep for the backward pass is added up by saved-tensor hooks.
SegFormer is made without numbers (torch's meta device) at 512 pixels, the others look at 128 pixels. Beside it is what
adapters/segment/domains/memory.py asks the lease for.
"""

import argparse
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn

from adapters.segment.domains.memory import CNN_GB, CNN_PIXEL_GB, TRANSFORMER_GB, TRANSFORMER_PIXEL_GB
from studio.core import registry
from studio.core.faces import LearnerContext

#: depths and widths of the encoders; Xie et al. 2021, SegFormer, table 6
ENCODERS = {"b0": ([2, 2, 2, 2], [32, 64, 160, 256]), "b5": ([3, 6, 40, 3], [64, 128, 320, 512])}
CNNS = {
    "pip/tf_efficientnet_lite0": "segment/light-pyramid",
    "timm/resnet50?random": "segment/segformer-head",
    "timm/resnet101?random": "segment/deeplabv3",
}
CLASSES = 19


def segformer(encoder: str) -> nn.Module:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    depths, widths = ENCODERS[encoder]
    config = SegformerConfig(depths=depths, hidden_sizes=widths, decoder_hidden_size=256, num_labels=CLASSES)
    with torch.device("meta"):
        return SegformerForSemanticSegmentation(config).train()


def cnn(method: str, backbone: str, size: int) -> nn.Module:
    cls = registry.get(method)
    learner = cls(cls.Params())
    classes = [str(number) for number in range(CLASSES)]
    module = learner.setup(LearnerContext(registry.backbone(backbone, image_size=size), classes, 0, size))
    learner.train_mode(True)
    return module


def kept_gb(look: Callable[[Tensor], Tensor], size: int, device: str) -> float:
    """Gigabytes that the forward pass of one image keeps, weights not among them."""
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if not isinstance(base, nn.Parameter):
            kept[id(base)] = base
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = look(torch.zeros(1, 3, size, size, device=device))
        full = nn.functional.interpolate(logits, size=(size, size), mode="bilinear")
        nn.functional.cross_entropy(full, torch.zeros(1, size, size, dtype=torch.long, device=device))
    return sum(tensor.numel() * tensor.element_size() for tensor in kept.values()) / 2**30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=2, help="images with gradient held at once: source and target")
    views = parser.parse_args().views
    print("| | parameters | weights, moments, copies | kept of an image of 512 pixels | together | asked for |")
    print("|---|---:|---:|---:|---:|---:|")
    for encoder in ENCODERS:
        module = segformer(encoder)
        one = kept_gb(lambda images, module=module: module(pixel_values=images).logits, 512, "meta")
        row(f"SegFormer-{encoder.upper()}", module, one, TRANSFORMER_GB + views * 512**2 * TRANSFORMER_PIXEL_GB, views)
    for backbone, method in CNNS.items():
        module = cnn(method, backbone, 128)
        one = kept_gb(module, 128, "cpu") * 16
        row(f"{method} on {backbone}", module, one, CNN_GB + views * 512**2 * CNN_PIXEL_GB, views)
    return 0


def row(name: str, module: nn.Module, one: float, asked: float, views: int) -> None:
    count = sum(parameter.numel() for parameter in module.parameters())
    weights = count * 4 * 6 / 2**30  # weights, gradient, two moments, the teacher, the pretrained copy
    print(
        f"| {name} | {count / 1e6:.1f} M | {weights:.2f} GB | {one:.2f} GB | {weights + views * one:.2f} GB | "
        f"{asked:.1f} GB |"
    )


if __name__ == "__main__":
    sys.exit(main())
