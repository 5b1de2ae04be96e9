"""Memory that adapting SegFormer needs, counted without a GPU: weights, moments, copies, and what backward keeps.

    python benchmarks/segment_memory.py [--encoder b5] [--size 512] [--views 2]

The network is made without numbers (torch's meta device); what each layer keeps for the backward pass of one image is
added up by saved-tensor hooks. Prints gigabytes for one image a step, for fp32 and for half precision, beside what
adapters/segment/domains/memory.py asks the lease for.
"""

import argparse
import sys

import torch
from torch import nn

from adapters.segment.domains.memory import BASE_GB, PIXEL_GB

#: depths and widths of the encoders; Xie et al. 2021, SegFormer, table 6
ENCODERS = {
    "b0": ([2, 2, 2, 2], [32, 64, 160, 256]),
    "b2": ([3, 4, 6, 3], [64, 128, 320, 512]),
    "b5": ([3, 6, 40, 3], [64, 128, 320, 512]),
}


def network(encoder: str, classes: int, width: int) -> nn.Module:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    depths, widths = ENCODERS[encoder]
    config = SegformerConfig(depths=depths, hidden_sizes=widths, decoder_hidden_size=width, num_labels=classes)
    with torch.device("meta"):
        return SegformerForSemanticSegmentation(config).train()


def kept_gb(module: nn.Module, size: int) -> float:
    """Gigabytes that the forward pass of one image keeps, weights not among them."""
    own = {id(parameter) for parameter in module.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in own and not isinstance(tensor, nn.Parameter) and tensor._base is None:
            kept[id(tensor)] = tensor.numel() * tensor.element_size()
            alive.append(tensor)
        elif tensor._base is not None and id(tensor._base) not in own:
            kept[id(tensor._base)] = tensor._base.numel() * tensor._base.element_size()
            alive.append(tensor._base)
        return tensor

    alive: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = module(pixel_values=torch.zeros(1, 3, size, size, device="meta")).logits
        full = nn.functional.interpolate(logits, size=(size, size), mode="bilinear")
        nn.functional.cross_entropy(full, torch.zeros(1, size, size, dtype=torch.long, device="meta"))
    return sum(kept.values()) / 2**30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="b5", choices=sorted(ENCODERS))
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--views", type=int, default=2, help="images with gradient held at once: source and target")
    asked = parser.parse_args()
    module = network(asked.encoder, 19, asked.width)
    count = sum(parameter.numel() for parameter in module.parameters())
    weights = count * 4 * 6 / 2**30  # weights, gradient, two moments, the teacher, the pretrained copy
    one = kept_gb(module, asked.size)
    estimate = BASE_GB + asked.views * asked.size**2 * PIXEL_GB
    print(f"SegFormer-{asked.encoder} at {asked.size} pixels: {count / 1e6:.1f} M parameters")
    print(f"weights, gradient, moments, teacher, pretrained copy: {weights:.2f} GB")
    print(f"kept of one image: {one:.2f} GB, {one / asked.size**2 * 1e6:.2f}e-6 GB a pixel")
    print(f"{asked.views} images: {weights + asked.views * one:.2f} GB in fp32; the estimate is {estimate:.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
