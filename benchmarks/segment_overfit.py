"""How many steps each network needs to learn the masks of eight scenes by heart, and how fast it trains and looks.

    python benchmarks/segment_overfit.py [METHOD ...] [--size 96] [--steps 400] [--rows FILE]
    python benchmarks/segment_overfit.py --strides

Eight `builtin:scenes` of two classes and their background, all at each step, no augmentation, cosine schedule; every 25
steps mIoU over the three classes on the same eight scenes, until it is 0.9 (of those that find things COCO's AP50 of
masks). Networks with coarse maps are shown the scenes larger.
It prints one row a network, with whether its file gives the same maps; exits 1 where one stays below 0.9 or its file
gives others. Speeds are images a second of training and looking. `--rows` keeps rows in a file: a second call goes on
where the first was ended.
`--strides` asks what maps of each stride could say at best: logits that no network makes are learned themselves.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters.segment.base import Segmenter
from adapters.segment.data.batches import MaskBatches
from adapters.segment.data.decoded import MaskedSplit
from adapters.segment.domains.base import AroundNetwork
from adapters.segment.instances.data import ThingBatches, ThingSplit
from adapters.segment.instances.predictor import find
from adapters.segment.losses import loss_of
from adapters.segment.task import SegmentTrain
from benchmarks.by_heart import train
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.data import open_data
from studio.data.masks.class_map import pixels_by_class, things_of
from studio.data.masks.instances import Instances
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize
from studio.metrics.detection import coco_mask_ap
from studio.metrics.segmentation import confusion_of, scores_of

BACKBONE = "pip/tf_efficientnet_lite0"
LR = 5e-3
ENOUGH = 0.9  # mIoU; AP50 of masks
#: networks that find things: their parameters and learning rate
THINGS = {
    "segment/mask-rcnn": ({"width": 64, "hidden": 256, "proposals": 100, "sampled": 64}, 3e-3),
    "segment/mask2former-instances": ({"queries": 20, "points": 12_544}, 1e-3),
}
ALL = {"backbone_lr": 0.3, "loss": "cross-entropy+lovasz"}
#: transformers on top learn less at a step
RATES = {"segment/mask2former": 1e-3}
#: how many times as large a network is shown the scenes: strokes are narrower than four pixels, and most maps are at
#: stride 4 or 8 (see --strides)
LARGER = {
    "segment/upernet": 2, "segment/dpt": 2, "segment/mask2former": 2, "segment/fcn": 3, "segment/lraspp": 3,
    "segment/linear": 3, "segment/deeplabv3": 3, "segment/pspnet": 3, "segment/mask-rcnn": 2,
}  # fmt: skip
#: heads on the last map alone: they stand on a small untrained network that holds it at stride 8
ON_LAST = ("segment/linear", "segment/deeplabv3", "segment/pspnet")
#: parameters of their own
OWN: dict[str, dict[str, Any]] = {
    "segment/deeplabv3": {"width": 64, "pyramid_dropout": 0.0},
    "segment/pspnet": {"width": 64},
    "segment/mask2former": {"points": 12_544},
}
FINE = "timm/mobilenetv2_035?random&output_stride=8"
UNTRAINED = {"backbone_lr": 1.0, "freeze_statistics": False}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=networks())
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--steps", type=int, default=400, help="at most")
    parser.add_argument("--backbone", help=f"instead of {BACKBONE}, or for some {FINE}")
    parser.add_argument("--rows", type=Path, help="a file of the rows that are there already")
    parser.add_argument("--strides", action="store_true", help="what maps of each stride could say at best")
    asked = parser.parse_args()
    if asked.strides:
        split, _ = scenes(asked.size)
        for stride in (2, 4, 8, 16):
            print(f"stride {stride:2}: mIoU {best_at(stride, split):.3f}", flush=True)
        return 0
    rows = {}
    if asked.rows and asked.rows.exists():
        rows = {row["method"]: row for row in map(json.loads, asked.rows.read_text().splitlines())}
    print(f"{'method':29}{'params':>8}{'steps':>7}{'train/s':>9}{'look/s':>8}{'mIoU':>7}  file", flush=True)
    for method in asked.methods:
        if method not in rows:
            backbone = asked.backbone or backbone_of(method)
            learn = overfit_things if method in THINGS else overfit
            rows[method] = {"method": method, **learn(method, backbone, asked.size, asked.steps)}
            if asked.rows:
                asked.rows.open("a").write(json.dumps(rows[method]) + "\n")
        row = rows[method]
        print(
            f"{method:29}{row['millions']:7.1f}M{row['steps']:7}{row['trained']:9.1f}{row['looked']:8.1f}"
            f"{row['miou']:7.3f}  {'same' if row['same'] else 'OTHER'}",
            flush=True,
        )
    return int(any(rows[method]["miou"] < ENOUGH or not rows[method]["same"] for method in asked.methods))


def networks() -> list[str]:
    """The ids of all networks that are trained."""
    every = [cls for cls in registry.methods("segment") if issubclass(cls, Segmenter)]
    return [cls.id for cls in every if not (issubclass(cls, AroundNetwork) or cls.solved)] + list(THINGS)


def overfit(method: str, spec: str, size: int, most: int) -> dict[str, float | bool]:
    """Millions of parameters, steps, images a second of training and looking, mIoU, whether its file gives the same."""
    split, classes = scenes(size, LARGER.get(method, 1))
    size *= LARGER.get(method, 1)
    learner = made(method, spec, size, classes)
    batches = MaskBatches(split, Preprocess(size), SegmentTrain(batch_size=8, augment="none"))
    asking = 0.0

    def learned() -> bool:
        nonlocal asking
        begun = time.monotonic()
        miou = miou_of(look(learner, split), split)
        print(f"  {method}: {miou:.3f}", file=sys.stderr)
        asking += time.monotonic() - begun
        return miou >= ENOUGH

    begun = time.monotonic()
    steps = train(learner, batches, most, RATES.get(method, LR), clip=1.0, learned=learned)
    trained = steps * len(split.images) / (time.monotonic() - begun - asking)
    begun = time.monotonic()
    maps = look(learner, split)
    looked = len(maps) / (time.monotonic() - begun)
    again = made(method, spec, size, classes)
    again.load_state(learner.state())
    return {
        "millions": sum(parameter.numel() for parameter in learner.module.parameters()) / 1e6, "steps": steps,
        "trained": trained, "looked": looked, "miou": miou_of(maps, split),
        "same": np.array_equal(look(again, split), maps),
    }  # fmt: skip


def overfit_things(method: str, spec: str, size: int, most: int) -> dict[str, float | bool]:
    """As `overfit`; in place of mIoU the AP of masks at an overlap of 0.5."""
    things, classes = scenes_of_things(size, LARGER.get(method, 1))
    size *= LARGER.get(method, 1)
    params, lr = THINGS[method]
    learner = made(method, spec, size, classes, params)
    settings = SegmentTrain(batch_size=4, augment="none")

    def score() -> float:
        ap50 = coco_mask_ap(things.truths, look_for_things(learner, things), classes)["map_50"]
        print(f"  {method}: {ap50:.3f}", file=sys.stderr)
        return ap50

    begun = time.monotonic()
    batches = ThingBatches(things, Preprocess(size), settings)
    steps = train(learner, batches, most, lr, clip=5.0, learned=lambda: score() >= ENOUGH)
    trained = steps * settings.batch_size / (time.monotonic() - begun)
    begun = time.monotonic()
    found = look_for_things(learner, things)
    looked = len(found) / (time.monotonic() - begun)
    again = made(method, spec, size, classes, params)
    again.load_state(learner.state())
    pairs = zip(found, look_for_things(again, things), strict=True)
    same = all(one.lengths == other.lengths for one, other in pairs)
    millions = sum(parameter.numel() for parameter in learner.module.parameters()) / 1e6
    return {"millions": millions, "steps": steps, "trained": trained, "looked": looked, "miou": score(), "same": same}


def best_at(stride: int, split: MaskedSplit, steps: int = 300) -> float:
    """mIoU of logits at this stride that are no network's: they themselves are learned."""
    truth = torch.from_numpy(np.stack(split.maps))
    images, size, _ = truth.shape
    logits = torch.zeros(images, split.counts.shape[1], size // stride, size // stride, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.5)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.5 * (1 - step / steps)
        loss = sum(loss_of(ALL["loss"], enlarged(logits, size), truth).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return miou_of(enlarged(logits.detach(), size).argmax(dim=1).to(torch.uint8).numpy(), split)


def enlarged(logits: torch.Tensor, size: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(logits, (size, size), mode="bilinear")


def miou_of(maps: np.ndarray, split: MaskedSplit) -> float:
    classes = split.counts.shape[1] - 1
    return scores_of(sum(map(confusion_of, split.maps, maps, [classes] * len(maps)))).miou


def backbone_of(method: str) -> str:
    """What a network stands on here; those of transformers on an untrained encoder of their kind, in a folder."""
    from transformers import (
        BitImageProcessor,
        Dinov2WithRegistersConfig,
        Dinov2WithRegistersModel,
        SegformerConfig,
        SegformerForImageClassification,
        SegformerImageProcessor,
    )  # fmt: skip

    side = {"height": 224, "width": 224}
    torch.manual_seed(0)
    if method == "segment/segformer":
        return in_folder(SegformerForImageClassification(SegformerConfig()), SegformerImageProcessor(size=side))
    if method == "segment/eomt":  # of DeiT-tiny's width, half as deep
        config = Dinov2WithRegistersConfig(
            hidden_size=192, num_hidden_layers=6, num_attention_heads=3, image_size=96, patch_size=8
        )
        return in_folder(Dinov2WithRegistersModel(config), BitImageProcessor(size=side, do_center_crop=False))
    return FINE if method in ON_LAST else BACKBONE


def in_folder(model: Any, processor: Any) -> str:
    folder = tempfile.mkdtemp()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return f"file:{folder}"


def made(method: str, spec: str, size: int, classes: list[str], params: dict[str, Any] | None = None) -> Any:
    cls = registry.get(method)
    if params is None:
        params = {**ALL, **(UNTRAINED if spec == FINE else {}), **OWN.get(method, {})}
    learner = cls(cls.Params(**params))
    learner.setup(LearnerContext(registry.backbone(spec, image_size=size), classes, 0, size))
    return learner


def scenes(size: int, times: int = 1) -> tuple[MaskedSplit, list[str]]:
    """Eight scenes, each pixel `times` as wide and high, and their classes."""
    data = open_data(f"builtin:scenes?images=8&size={size}&classes=2&most=3&truth=masks")
    maps = [larger(item.mask.read(), times) for item in data.items]
    images = [np.ascontiguousarray(larger(item.source.read(), times).transpose(2, 0, 1)) for item in data.items]
    return MaskedSplit(images, maps, np.array([pixels_by_class(3, one) for one in maps]), data), data.classes


def scenes_of_things(size: int, times: int = 1) -> tuple[ThingSplit, list[str]]:
    """The same scenes with a mask for each thing, and the classes of things."""
    split, classes = scenes(size, times)
    side = size * times
    truths = [
        Instances.of([(label - 1, larger(inside, times)) for label, inside in things_of(item.mask)], (side, side))
        for item in split.dataset.items
    ]
    return ThingSplit(np.stack(split.images), truths, split.dataset), classes[1:]


def larger(pixels: np.ndarray, times: int) -> np.ndarray:
    """An image or mask [H, W, ...] whose pixels are `times` as wide and high."""
    return pixels.repeat(times, 0).repeat(times, 1)


def look_for_things(learner: Any, things: ThingSplit) -> list[Instances]:
    learner.train_mode(False)
    size = things.pixels.shape[-1]
    return find(learner, torch.from_numpy(things.pixels), Preprocess(size), [(size, size)] * len(things.truths))


def look(learner: Segmenter, split: MaskedSplit) -> np.ndarray:
    """Class maps uint8 [N, S, S]."""
    learner.train_mode(False)
    size = split.images[0].shape[-1]
    images = normalize(torch.from_numpy(np.stack(split.images)), replace(Preprocess(), image_size=size))
    with torch.inference_mode():
        logits = enlarged(learner.predict(images), size)
    return logits.argmax(dim=1).to(torch.uint8).numpy()


if __name__ == "__main__":
    sys.exit(main())
