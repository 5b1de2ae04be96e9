"""Small detectors for the tests of this folder: made, trained and asked."""

import re

import torch

from adapters.detect.data.batches import BoxBatches
from adapters.detect.face import Detector
from adapters.detect.task import DetectTrain
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.streams import Step
from studio.data.transforms import normalize

SIZE = 96
DETECTORS = [
    cls.id
    for cls in registry.methods("detect")
    if issubclass(cls, Detector) and not cls.adapts()  # those are in test_adapting.py
]


VIT = "timm/vit_tiny_patch16_224?random&depth=2&embed_dim=64&num_heads=2"
TINY = "timm/test_efficientnet?random"
BACKBONES = {"detect/yolos": VIT}  # where it is not a CNN
SMALL = {"queries": 20, "width": 64, "heads": 2, "hidden": 64, "decoder_layers": 2}  # of a transformer


def made(method: str, backbone: str = "", weights: bool = True, classes=("0", "1"), **params) -> Detector:
    cls = registry.get(method)
    learner = cls(cls.Params(**params))
    spec = backbone or BACKBONES.get(method, "pip/tf_efficientnet_lite0")
    learner.setup(LearnerContext(registry.backbone(spec, image_size=SIZE, weights=weights), list(classes), 0, SIZE))
    return learner


def small(method: str, **options) -> Detector:
    """A detector of few parameters, on a tiny untrained backbone."""
    known = registry.get(method).Params.model_fields
    options.setdefault("backbone", BACKBONES.get(method, TINY))
    return made(method, **{name: value for name, value in SMALL.items() if name in known}, **options)


def train(learner: Detector, scenes, steps: int, lr: float = 1e-3, batch_size: int = 4) -> list[float]:
    """The sum of the losses at each step."""
    pixels, boxes, preprocess = scenes
    batches = BoxBatches(pixels, boxes, preprocess, DetectTrain(batch_size=batch_size, augment="none"))
    optimizer = torch.optim.AdamW(learner.param_groups(lr, 0.01))
    sums = []
    torch.manual_seed(0)
    for step in range(steps):
        learner.train_mode(True)
        loss = sum(learner.losses(batches.batch(step), Step(step, steps)).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.module.parameters(), 5.0)
        optimizer.step()
        sums.append(float(loss.detach()))
    return sums


def bold(learner: Detector) -> Detector:
    """With its classes at even odds, so that one that has hardly learned finds something to compare."""
    for name, tensor in learner.state().items():
        if name.endswith("bias") and any(re.search(pattern, name) for pattern in learner.class_rows):
            tensor.zero_()
    return learner


def look(learner: Detector, scenes):
    """What it finds in the scenes: something, at least."""
    pixels, _, preprocess = scenes
    learner.train_mode(False)
    with torch.inference_mode():
        found = learner.predict(normalize(torch.from_numpy(pixels), preprocess))
    assert any(map(len, found)), "a test that compares nothing with nothing"
    return found
