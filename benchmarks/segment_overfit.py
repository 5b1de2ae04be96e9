"""How well each network learns the masks of eight scenes by heart, and how fast it trains and looks.

    python benchmarks/segment_overfit.py [METHOD ...] [--size 96] [--steps 200]

Eight `builtin:scenes` of two classes and their background, all at each step, no augmentation, cosine schedule;
mIoU over the three classes on the same eight scenes, and whether the file of the network gives the same maps. It prints
one row a network; exits 1 where one stays below 0.9. Speeds are images a second of training and of looking.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace

import numpy as np
import torch

from adapters.segment.base import Segmenter
from adapters.segment.data.batches import MaskBatches
from adapters.segment.data.decoded import MaskedSplit
from adapters.segment.task import SegmentTrain
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.phases import warmup_cosine
from studio.core.streams import Step
from studio.data import open_data
from studio.data.masks.class_map import pixels_by_class
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize
from studio.metrics.segmentation import confusion_of, scores_of

BACKBONE = "pip/tf_efficientnet_lite0"
LR = 5e-3
ALL = {"backbone_lr": 0.3, "loss": "cross-entropy+lovasz"}
#: for heads on coarse maps, which thin strokes are lost in: the same network untrained, with maps at stride 8
FINE = "timm/tf_efficientnet_lite0?random&output_stride=8"
COARSE = ("segment/linear", "segment/fcn", "segment/lraspp", "segment/deeplabv3", "segment/pspnet")
UNTRAINED = {"backbone_lr": 1.0, "freeze_statistics": False}


def main() -> int:
    every = [cls for cls in registry.methods("segment") if issubclass(cls, Segmenter)]
    networks = [cls.id for cls in every if not (cls.adapts() or cls.solved)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=networks)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--backbone", help=f"instead of {BACKBONE}, or where that is too coarse {FINE}")
    asked = parser.parse_args()
    print(f"{'method':26}{'params':>8}{'steps':>7}{'train/s':>9}{'look/s':>8}{'mIoU':>7}  file", flush=True)
    low = False
    for method in asked.methods:
        row = overfit(method, asked.backbone or backbone_of(method), asked.size, asked.steps)
        low |= row[3] < 0.9 or not row[4]
        million, trained, looked, miou, same = row
        print(
            f"{method:26}{million:7.1f}M{asked.steps:7}{trained:9.1f}{looked:8.1f}{miou:7.3f}  "
            f"{'same' if same else 'OTHER'}",
            flush=True,
        )
    return int(low)


def overfit(method: str, spec: str, size: int, steps: int) -> tuple[float, float, float, float, bool]:
    """Millions of parameters, images a second of training and of looking, mIoU, and whether a file gives the same."""
    split, classes = scenes(size)
    learner = made(method, spec, size, classes)
    begun = time.monotonic()
    train(learner, split, steps, LR)
    trained = steps * len(split.images) / (time.monotonic() - begun)
    begun = time.monotonic()
    maps = look(learner, split)
    looked = len(maps) / (time.monotonic() - begun)
    matrix = sum(confusion_of(truth, guess, len(classes)) for truth, guess in zip(split.maps, maps, strict=True))
    again = made(method, spec, size, classes)
    again.load_state(learner.state())
    same = np.array_equal(look(again, split), maps)
    return sum(p.numel() for p in learner.module.parameters()) / 1e6, trained, looked, scores_of(matrix).miou, same


def backbone_of(method: str) -> str:
    """What a network stands on here; SegFormer on an untrained encoder of its kind (MiT-B0), in a folder."""
    if method != "segment/segformer":
        return FINE if method in COARSE else BACKBONE
    from transformers import SegformerConfig, SegformerForImageClassification, SegformerImageProcessor

    folder = tempfile.mkdtemp()
    torch.manual_seed(0)
    SegformerForImageClassification(SegformerConfig()).save_pretrained(folder)
    SegformerImageProcessor(size={"height": 224, "width": 224}).save_pretrained(folder)
    return f"file:{folder}"


def made(method: str, spec: str, size: int, classes: list[str]) -> Segmenter:
    cls = registry.get(method)
    learner = cls(cls.Params(**{**ALL, **({} if spec == BACKBONE else UNTRAINED)}))
    learner.setup(LearnerContext(registry.backbone(spec, image_size=size), classes, 0, size))
    return learner


def scenes(size: int) -> tuple[MaskedSplit, list[str]]:
    data = open_data(f"builtin:scenes?images=8&size={size}&classes=2&most=3&truth=masks")
    maps = [item.mask.read() for item in data.items]
    images = [np.ascontiguousarray(item.source.read().transpose(2, 0, 1)) for item in data.items]
    return MaskedSplit(images, maps, np.array([pixels_by_class(3, one) for one in maps]), data), data.classes


def train(learner: Segmenter, split: MaskedSplit, steps: int, lr: float) -> None:
    batches = MaskBatches(split, Preprocess(split.images[0].shape[-1]), SegmentTrain(batch_size=8, augment="none"))
    groups = [group for group in learner.param_groups(lr, 0.01) if group["params"]]
    peaks = [group["lr"] for group in groups]
    optimizer = torch.optim.AdamW(groups)
    trained = [parameter for group in groups for parameter in group["params"]]
    torch.manual_seed(0)
    for step in range(steps):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * warmup_cosine(step, steps, max(1, steps // 10))
        learner.train_mode(True)
        loss = sum(learner.losses(batches.batch(step), Step(step, steps)).values())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()


def look(learner: Segmenter, split: MaskedSplit) -> np.ndarray:
    """Class maps uint8 [N, S, S]."""
    learner.train_mode(False)
    size = split.images[0].shape[-1]
    images = normalize(torch.from_numpy(np.stack(split.images)), replace(Preprocess(), image_size=size))
    with torch.inference_mode():
        logits = torch.nn.functional.interpolate(learner.predict(images), (size, size), mode="bilinear")
    return logits.argmax(dim=1).to(torch.uint8).numpy()


if __name__ == "__main__":
    sys.exit(main())
