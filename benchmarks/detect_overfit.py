"""How many steps each detector needs to learn eight scenes by heart.

    python benchmarks/detect_overfit.py [METHOD ...] [--size 96] [--start transformers]

Eight `builtin:scenes` of two classes, batches of four, no augmentation, a cosine schedule over the steps given here;
AP50 on the same eight scenes. It prints one row a detector; exits 1 where one stays below 0.9. With `--start
transformers` the layers of a transformer detector stay as transformers draws them (batch norms excepted).
"""

import argparse
import sys
import time

import torch

from adapters.detect.data.batches import BoxBatches
from adapters.detect.face import Detector
from adapters.detect.initializers import unit_norms
from adapters.detect.task import DetectTrain
from benchmarks.by_heart import train
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.data import open_data
from studio.data.pixels import decode
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize
from studio.metrics.detection import coco_ap

BACKBONE = "pip/tf_efficientnet_lite0"
VIT = "timm/vit_tiny_patch16_224?random&depth=4"
# method: (steps, learning rate, params)
NEEDS: dict[str, tuple[int, float, dict]] = {
    "detect/fcos": (120, 1e-3, {}),
    "detect/retinanet": (150, 1e-3, {}),
    "detect/yolox": (200, 1e-3, {}),
    "detect/faster-rcnn": (120, 1e-3, {}),
    "detect/ssdlite": (150, 1e-3, {}),
    "detect/rt-detr-v2": (120, 1e-3, {}),
    "detect/d-fine": (120, 1e-3, {}),
    "detect/deformable-detr": (150, 1e-3, {}),
    "detect/conditional-detr": (1000, 5e-4, {}),
    "detect/rf-detr": (150, 1e-3, {"queries": 30}),
    "detect/detr": (1500, 5e-4, {}),
    "detect/yolos": (4000, 1.5e-3, {}),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=list(NEEDS))
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--steps", type=int, help="instead of those written here")
    parser.add_argument("--lr", type=float, help="instead of that written here")
    parser.add_argument("--start", choices=("paper", "transformers"), default="paper", help="of untrained layers")
    asked = parser.parse_args()
    print(f"{'method':28}{'params':>9}{'lr':>8}{'steps':>7}{'s/step':>8}{'AP':>7}{'AP50':>7}", flush=True)
    low = False
    for method in asked.methods or NEEDS:
        steps, lr, params = NEEDS[method]
        steps, lr = asked.steps or steps, asked.lr or lr
        if asked.start == "transformers":
            registry.get(method).start = lambda _, module: unit_norms(module)
        learner, numbers, seconds = overfit(method, steps, lr, params, asked.size)
        million = sum(parameter.numel() for parameter in learner.module.parameters()) / 1e6
        print(
            f"{method:28}{million:8.1f}M{lr:8g}{steps:7}{seconds / steps:8.2f}{numbers['map']:7.3f}"
            f"{numbers['map_50']:7.3f}",
            flush=True,
        )
        low |= numbers["map_50"] < 0.9
    return int(low)


def overfit(method: str, steps: int, lr: float, params: dict, size: int) -> tuple[Detector, dict, float]:
    """The detector after training, its AP on the scenes it was trained on, and seconds of training."""
    data = open_data(f"builtin:scenes?images=8&size={size}&classes=2&most=3")
    preprocess = Preprocess(size, squash=True)
    pixels, kept = decode(data, preprocess)
    boxes = [item.boxes for item in kept.items]
    cls = registry.get(method)
    learner = cls(cls.Params(**params))
    backbone = registry.backbone(VIT if method == "detect/yolos" else BACKBONE, image_size=size)
    learner.setup(LearnerContext(backbone, data.classes, 0, size))
    begun = time.monotonic()
    batches = BoxBatches(pixels, boxes, preprocess, DetectTrain(batch_size=4, augment="none"))
    train(learner, batches, steps, lr, clip=5.0)
    seconds = time.monotonic() - begun
    learner.train_mode(False)
    with torch.inference_mode():
        found = learner.predict(normalize(torch.from_numpy(pixels), preprocess))
    return learner, coco_ap(boxes, found, data.classes), seconds


if __name__ == "__main__":
    sys.exit(main())
