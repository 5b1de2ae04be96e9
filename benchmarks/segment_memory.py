"""Memory that adapting a network needs, counted without a GPU: weights, moments, copies, and what backward keeps.

    python benchmarks/segment_memory.py [--views 2]
    python benchmarks/segment_memory.py --step camvid-day-to-dusk [--size 224] [--rows 4]
    python benchmarks/segment_memory.py --step b0 [--size 512] [--rows 1]

Untrained networks look at one image; what their layers keep for the backward pass is added up by saved-tensor hooks.
SegFormer is made without numbers (torch's meta device) at 512 pixels, the others look at 128 pixels. Beside it is what
adapters/segment/domains/memory.py asks the lease for.
`--step` takes a training step of DAFormer on this CPU in fp32, of what a preset names or of SegFormer-B0 untrained, and
tells by how much the resident memory of the process grew at its highest beside the same count (Linux only).
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapters.segment.domains.memory import CNN_GB, CNN_PIXEL_GB, TRANSFORMER_GB, TRANSFORMER_PIXEL_GB
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step, StreamBatches

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

    config = SegformerConfig(**sizes_of(encoder), decoder_hidden_size=256, num_labels=CLASSES)
    with torch.device("meta"):
        return SegformerForSemanticSegmentation(config).train()


def sizes_of(encoder: str) -> dict[str, list[int]]:
    depths, widths = ENCODERS[encoder]
    return {"depths": depths, "hidden_sizes": widths}


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
    parser.add_argument("--step", metavar="WHAT", help=f"measure a step: a preset, or one of {', '.join(ENCODERS)}")
    parser.add_argument("--size", type=int, help="pixels of the images of a step")
    parser.add_argument("--rows", type=int, help="images of each domain in a step")
    asked = parser.parse_args()
    views = asked.views
    if asked.step:
        return measure_step(asked)
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


def measure_step(asked: argparse.Namespace) -> int:
    """Prints the highest growth of resident memory over a step, beside the count."""
    with tempfile.TemporaryDirectory() as folder:
        method, backbone, params, size, rows = what_steps(asked.step, Path(folder))
        size, rows = asked.size or size, asked.rows or rows
        Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten
        before = resident_gb("VmRSS")
        learner = domain_learner(method, backbone, params, size)
        take_step(learner, size, rows)
        grown = resident_gb("VmHWM") - before
        network = domain_learner(method, backbone, params, size).network
    weights = sum(parameter.numel() for parameter in network.module.parameters()) * 4 * 6 / 2**30
    count = weights + learner.views * rows * kept_gb(network.predict, size, "cpu")
    print(f"{asked.step}: {size} pixels, {rows} images of each domain, {learner.views} views with gradient")
    print(f"counted {count:.2f} GB, resident {grown:.2f} GB, {grown / count:.2f} times the count")
    return 0


def what_steps(what: str, folder: Path) -> tuple[str, str, dict[str, Any], int, int]:
    """Method, backbone, params, pixels and images of each domain."""
    if what not in ENCODERS:
        recipe = recipes.load(what)
        return recipe.method, recipe.model.backbone, recipe.params, recipe.model.image_size, recipe.train.batch_size
    from transformers import SegformerConfig, SegformerForImageClassification, SegformerImageProcessor

    SegformerForImageClassification(SegformerConfig(**sizes_of(what))).save_pretrained(folder)
    SegformerImageProcessor(size={"height": 512, "width": 512}).save_pretrained(folder)
    params = {"network": "segment/segformer", "network_params": {"width": 256}, "things": ["0"]}
    return "segment/daformer", f"file:{folder}", params, 512, 1


def domain_learner(method: str, backbone: str, params: dict[str, Any], size: int) -> Any:
    cls = registry.get(method)
    names = [*params.get("things", ())]
    classes = names + [f"other {number}" for number in range(CLASSES - len(names))]
    learner = cls(cls.Params(**params))
    learner.setup(LearnerContext(registry.backbone(backbone, image_size=size), classes, 0, size))
    learner.train_mode(True)
    return learner


def take_step(learner: Any, size: int, rows: int) -> None:
    """Two steps of AdamW on noise, so that the moments are there."""
    optimizer = torch.optim.AdamW([group for group in learner.param_groups(1e-4, 0.01) if group["params"]])
    for step in range(2):
        masks = torch.randint(CLASSES, (rows, size, size), dtype=torch.uint8)
        source = Batch(images=torch.randn(rows, 3, size, size), masks=masks)
        batch = StreamBatches(source=source, target=Batch(images=torch.randn(rows, 3, size, size)))
        losses, _ = learner.losses(batch, Step(step, 2))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()


def resident_gb(field: str) -> float:
    """VmRSS, resident now, or VmHWM, at its highest."""
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) / 2**20


def row(name: str, module: nn.Module, one: float, asked: float, views: int) -> None:
    count = sum(parameter.numel() for parameter in module.parameters())
    weights = count * 4 * 6 / 2**30  # weights, gradient, two moments, the teacher, the pretrained copy
    print(
        f"| {name} | {count / 1e6:.1f} M | {weights:.2f} GB | {one:.2f} GB | {weights + views * one:.2f} GB | "
        f"{asked:.1f} GB |"
    )


if __name__ == "__main__":
    sys.exit(main())
