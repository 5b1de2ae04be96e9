"""Small networks for the tests of this folder: made, trained and asked; and runs small enough for tests."""

import tempfile
from functools import cache

import numpy as np
import torch

from adapters.segment.base import Segmenter
from adapters.segment.data.batches import MaskBatches
from adapters.segment.data.decoded import MaskedSplit
from adapters.segment.domains.base import AroundNetwork
from adapters.segment.task import SegmentTrain
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.streams import Step
from studio.data import open_data
from studio.data.masks.class_map import pixels_by_class
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize

SIZE = 64
TINY = "timm/test_efficientnet?random"
VIT = "timm/test_vit?random"
NETWORKS = [
    cls.id
    for cls in registry.methods("segment")
    if issubclass(cls, Segmenter)
    and not issubclass(cls, AroundNetwork)  # those are in domains/
    and not cls.solved  # those are in test_prototypes.py
]
SMALL = {"width": 32, "queries": 8, "heads": 2, "encoder_layers": 1, "decoder_layers": 2, "blocks": 2}
RUN = {
    "task": "segment",
    "method": "segment/light-pyramid",
    "model": {"image_size": SIZE, "backbone": TINY},
    "data": {
        "train": "builtin:scenes?images=8&size=96&classes=2&truth=masks",
        "test": "builtin:scenes?images=3&size=96&classes=2&seed=5&truth=masks",
    },
    "params": {"width": 32},
    "train": {"epochs": 1, "batch_size": 4},
    "device": "cpu",
}


def _folder(model, processor) -> str:
    folder = tempfile.mkdtemp()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return f"file:{folder}"


@cache
def encoder_folder() -> str:
    """A folder with a tiny untrained encoder of SegFormer."""
    from transformers import SegformerConfig, SegformerForImageClassification, SegformerImageProcessor

    torch.manual_seed(0)
    config = SegformerConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16
    )
    processor = SegformerImageProcessor(size={"height": SIZE, "width": SIZE})
    return _folder(SegformerForImageClassification(config), processor)


@cache
def dinov2_folder() -> str:
    """A folder with a tiny untrained DINOv2 with registers."""
    from transformers import BitImageProcessor, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    config = Dinov2WithRegistersConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=SIZE, patch_size=8, num_register_tokens=2
    )
    processor = BitImageProcessor(size={"height": SIZE, "width": SIZE}, do_center_crop=False)
    return _folder(Dinov2WithRegistersModel(config), processor)


@cache
def mask2former_folder() -> str:
    """A folder with a tiny untrained Mask2Former, whole, on a Swin; it knows background, 0 and 1."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, Mask2FormerImageProcessor

    torch.manual_seed(0)
    swin = {
        "model_type": "swin", "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4,
        "image_size": SIZE, "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }  # fmt: skip
    config = Mask2FormerConfig(
        backbone_config=swin, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=32,
        dim_feedforward=32, num_attention_heads=2, encoder_layers=1, decoder_layers=2, num_queries=8,
        id2label=dict(enumerate(("background", "0", "1"))),
    )  # fmt: skip
    processor = Mask2FormerImageProcessor(size={"height": SIZE, "width": SIZE})
    return _folder(Mask2FormerForUniversalSegmentation(config), processor)


@cache
def dpt_folder() -> str:
    """A folder with a tiny untrained DPT, whole, that knows background, 0 and 1."""
    from transformers import DPTConfig, DPTForSemanticSegmentation, DPTImageProcessor

    torch.manual_seed(0)
    config = DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=SIZE,
        patch_size=16, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=16,
        id2label=dict(enumerate(("background", "0", "1"))),
    )  # fmt: skip
    return _folder(DPTForSemanticSegmentation(config), DPTImageProcessor(size={"height": SIZE, "width": SIZE}))


#: what some networks need for a backbone
OWN = {"segment/segformer": encoder_folder, "segment/eomt": dinov2_folder}


def small(method: str, backbone: str = "", classes=("background", "0", "1"), **params) -> Segmenter:
    """A network of few parameters on a tiny untrained backbone."""
    cls = registry.get(method)
    known = cls.Params.model_fields
    params = {**{name: value for name, value in SMALL.items() if name in known}, **params}
    learner = cls(cls.Params(**params))
    backbone = backbone or OWN.get(method, lambda: TINY)()
    backbone = registry.backbone(backbone, image_size=None if backbone == VIT else SIZE)
    learner.setup(LearnerContext(backbone, list(classes), 0, backbone.image_size))
    return learner


def scenes(images: int = 4, size: int = SIZE) -> MaskedSplit:
    """Scenes of two characters in memory."""
    data = open_data(f"builtin:scenes?images={images}&size={size}&classes=2&most=3&truth=masks")
    maps = [item.mask.read() for item in data.items]
    counts = np.array([pixels_by_class(3, one) for one in maps])
    return MaskedSplit([item.source.read().transpose(2, 0, 1).copy() for item in data.items], maps, counts, data)


def train(learner: Segmenter, split: MaskedSplit, steps: int, lr: float = 1e-3) -> list[float]:
    """The sum of the losses at each step, of all images at each."""
    size = split.images[0].shape[-1]
    batches = MaskBatches(split, Preprocess(size), SegmentTrain(batch_size=len(split.images), augment="none"))
    optimizer = torch.optim.AdamW([group for group in learner.param_groups(lr, 0.01) if group["params"]])
    sums = []
    torch.manual_seed(0)
    for step in range(steps):
        learner.train_mode(True)
        loss = sum(learner.losses(batches.batch(step), Step(step, steps)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sums.append(float(loss.detach()))
    return sums


def asked(learner: Segmenter, split: MaskedSplit) -> torch.Tensor:
    """Logits of the images."""
    learner.train_mode(False)
    images = normalize(torch.from_numpy(np.stack(split.images)), Preprocess(split.images[0].shape[-1]))
    with torch.inference_mode():
        return learner.predict(images)
