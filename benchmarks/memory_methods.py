"""Peak memory of LoRA and BitFit beside full fine-tuning: the same ViT and batch, each in a process of its own.

    python benchmarks/memory_methods.py [--backbone vit_small_patch16_224] [--size 224] [--batch 16] [--device cpu]

Prints the peak of a few steps over the memory before them (CPU: resident set; GPU: the allocator's), and the
tensors in the checkpoint. The linear probe is one forward pass without gradients.
"""

import argparse
import subprocess
import sys

METHODS = ("finetune/full", "finetune/lora", "finetune/bitfit", "finetune/linear-probe")


def measure(method: str, args: argparse.Namespace) -> tuple[float, float]:
    """(MB of memory, MB of the checkpoint's tensors)."""
    import torch

    from studio.core import registry
    from studio.core.faces import LearnerContext
    from studio.core.streams import Batch, Step

    backbone = registry.backbone(f"timm/{args.backbone}?random", image_size=args.size).to(args.device)
    images = torch.randn(args.batch, 3, args.size, args.size, device=args.device)
    labels = torch.arange(args.batch, device=args.device) % 10
    if method == "finetune/linear-probe":
        start = begin(args.device)
        with torch.no_grad():
            backbone.embed(images)
        return peak(args.device) - start, backbone.dim * 10 * 4 / 2**20
    cls = registry.get(method)
    learner = cls(cls.Params())
    learner.setup(LearnerContext(backbone, [str(i) for i in range(10)]))
    learner.module.to(args.device)
    groups = [group for group in learner.param_groups(1e-3, 0.0) if group["params"]]
    start = begin(args.device)
    optimizer = torch.optim.AdamW(groups)
    for _ in range(2):
        learner.train_mode(True)
        optimizer.zero_grad()
        learner.losses(Batch(images=images, labels=labels), Step(0, 1))["loss"].backward()
        optimizer.step()
    size = sum(tensor.numel() * tensor.element_size() for tensor in learner.state().values()) / 2**20
    return peak(args.device) - start, size


def begin(device: str) -> float:
    import psutil
    import torch

    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    return psutil.Process().memory_info().rss / 2**20


def peak(device: str) -> float:
    import torch

    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**20
    from studio.core.resident import peak_bytes

    return peak_bytes() / 2**20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", default="vit_small_patch16_224")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--method", choices=METHODS)
    args = parser.parse_args()
    if args.method:
        memory, size = measure(args.method, args)
        print(f"{args.method}: {memory:.0f} MB over the network itself, checkpoint {size:.2f} MB", flush=True)
        return
    for method in METHODS:
        subprocess.run([sys.executable, __file__, "--method", method, *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
