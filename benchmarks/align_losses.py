"""Losses of deep alignment alone beside the plain way of writing them: time forward and backward, memory that is kept.

    python benchmarks/align_losses.py [--batches 32 256] [--width 256] [--classes 31] [--rounds 30]

For features [N, width] and logits [N, classes] of each domain. Plain is what the equations say, written out: pairs of
rows side by side for DAN's five kernels, a product by broadcasting for CDAN, logarithms of a softmax for MDD, a whole
singular value decomposition for BNM. Both give the same number (checked), in turn, the median of the rounds. Memory is
what the forward pass keeps for the backward pass, each tensor once, inputs aside.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from adapters.align.deep.adversarial.cdan import OuterProduct
from adapters.align.deep.adversarial.mdd import disagreement
from adapters.align.deep.kernels import OCTAVES, gaussians, mmd
from adapters.align.deep.objective.bnm import nuclear_norm

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # of source features, target features and target logits


def dan(source: Tensor, target: Tensor, logits: Tensor) -> Tensor:
    return mmd(gaussians(torch.cat([source, target])), len(source))


def plain_dan(source: Tensor, target: Tensor, logits: Tensor) -> Tensor:
    both = torch.cat([source, target])
    count, half = len(both), len(source)
    distances = (both[None] - both[:, None]).square().sum(dim=2)
    width = distances.detach().sum() / (count * (count - 1))
    kernel = sum(torch.exp(-distances / (factor * width)) for factor in OCTAVES) / len(OCTAVES)
    within = kernel[:half, :half].mean() + kernel[half:, half:].mean()
    return within - kernel[:half, half:].mean() - kernel[half:, :half].mean()


def cdan(source: Tensor, target: Tensor, logits: Tensor) -> Tensor:
    return OuterProduct()(target, logits.softmax(dim=1).detach()).square().mean()


def plain_cdan(source: Tensor, target: Tensor, logits: Tensor) -> Tensor:
    product = logits.softmax(dim=1).detach()[:, :, None] * target[:, None, :]
    return product.reshape(len(target), -1).square().mean()


def mdd(source: Tensor, target: Tensor, logits: Tensor) -> Tensor:
    return disagreement(logits, logits.detach().roll(1, 0).argmax(dim=1)).mean()


def plain_mdd(source: Tensor, target: Tensor, logits: Tensor) -> Tensor:
    predicted = logits.detach().roll(1, 0).argmax(dim=1)
    return -torch.log(1 - logits.softmax(dim=1).gather(1, predicted[:, None]) + 1e-9).mean()


def bnm(source: Tensor, target: Tensor, logits: Tensor) -> Tensor:
    return -nuclear_norm(logits.softmax(dim=1))


def plain_bnm(source: Tensor, target: Tensor, logits: Tensor) -> Tensor:
    _, values, _ = torch.linalg.svd(logits.softmax(dim=1), full_matrices=False)
    return -values.sum() / len(logits)


LOSSES: dict[str, tuple[Loss, Loss]] = {
    "DAN": (dan, plain_dan), "CDAN": (cdan, plain_cdan), "MDD": (mdd, plain_mdd), "BNM": (bnm, plain_bnm),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 256])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--classes", type=int, default=31)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| loss | batch | ms | plain, ms | times as fast | kept, MB | plain, MB |\n|---|---:|---:|---:|---:|---:|---:|"
    )
    for name, pair in LOSSES.items():
        for batch in args.batches:
            inputs = made(batch, args.width, args.classes)
            same = [float(loss(*inputs).detach()) for loss in pair]
            assert abs(same[0] - same[1]) < 1e-4 * max(1.0, abs(same[1])), (name, same)
            times = [[milliseconds(loss, inputs) for loss in pair] for _ in range(args.rounds + 2)][2:]
            own, plain = (statistics.median(column) for column in zip(*times, strict=True))
            kept = [f"{kept_bytes(loss, inputs) / 2**20:.2f}" for loss in pair]
            print(
                f"| {name} | {batch} | {own:.2f} | {plain:.2f} | {plain / own:.1f} | {' | '.join(kept)} |", flush=True
            )


def made(batch: int, width: int, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    shapes = (batch, width), (batch, width), (batch, classes)
    return tuple(torch.randn(shape, generator=draw).requires_grad_(True) for shape in shapes)  # type: ignore[return-value]


def milliseconds(loss: Loss, inputs: tuple[Tensor, ...]) -> float:
    """Forward and backward."""
    begun = time.perf_counter()
    loss(*inputs).backward()
    taken = 1000 * (time.perf_counter() - begun)
    for tensor in inputs:
        tensor.grad = None
    return taken


def kept_bytes(loss: Loss, inputs: tuple[Tensor, ...]) -> int:
    own = {tensor.untyped_storage().data_ptr() for tensor in inputs}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss(*inputs)
    return sum(storage.nbytes() for storage in kept.values())


if __name__ == "__main__":
    main()
