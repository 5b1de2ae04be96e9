"""Tiny untrained networks of each family, for the tests of fine-tuning."""

import torch

from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step
from studio.engine.averages import follow

# timm's DINOv2 starts with layer scales of 1e-5, by which all images would look the same until it is trained.
VIT = "img_size=32&patch_size=8&embed_dim=32&depth=2&num_heads=2"
HF = "image_size=32&patch_size=8&hidden_size=32&num_hidden_layers=2&num_attention_heads=2"
FAMILIES = {
    "timm-vit": f"timm/vit_small_patch16_224?random&{VIT}",
    "timm-deit3": f"timm/deit3_small_patch16_224?random&{VIT}",
    "timm-swinv2": "timm/swinv2_tiny_window8_256?random&img_size=32&window_size=4&embed_dim=8&depths=1,2&num_heads=1,2",
    "timm-dinov2": "timm/vit_small_patch14_dinov2?random&img_size=28&embed_dim=32&depth=2&num_heads=2&init_values=0.5",
    "timm-eva02": f"timm/eva02_tiny_patch14_224?random&{VIT}",
    "timm-convnextv2": "timm/convnextv2_atto?random&img_size=64&depths=1,1,2,1&dims=8,16,24,32",
    "hf-vit": f"hf/vit?random&{HF}",
    "hf-deit": f"hf/deit?random&{HF}",
    "hf-swin": "hf/swin?random&image_size=32&patch_size=4&window_size=4&embed_dim=12&depths=1,2&num_heads=1,2",
    "hf-dinov2": f"hf/dinov2?random&{HF}",
    "hf-beit": f"hf/beit?random&{HF}",
    "hf-siglip-vision": f"hf/siglip_vision_model?random&{HF}",
}
NO_PROMPTS = {"timm-swinv2", "timm-eva02", "timm-convnextv2", "hf-swin"}  # blocks that take no more tokens
torch.set_num_threads(1)  # tiny networks; threads would only wait for each other
CLASSES = ["a", "b", "c"]


def learner_of(method: str, spec: str, **params):
    """A learner on a fresh backbone, set up."""
    cls = registry.get(method)
    learner = cls(cls.Params(**params))
    learner.setup(LearnerContext(registry.backbone(spec), CLASSES, 0))
    return learner


def batch_of(learner, count: int = 4, seed: int = 0):
    side = learner.module.backbone.image_size
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % len(CLASSES)
    return Batch(images=torch.randn(count, 3, side, side, generator=draw), labels=labels)


def train(learner, steps: int = 2, lr: float = 0.01):
    """A few plain steps; returns the losses."""
    groups = [group for group in learner.param_groups(lr, 0.01) if group["params"]]
    optimizer = torch.optim.AdamW(groups)
    losses = []
    for step in range(steps):
        learner.train_mode(True)
        parts = learner.losses(batch_of(learner, seed=step), Step(step, steps))
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
        follow(learner, step)
        losses.append({name: float(value.detach()) for name, value in parts.items()})
    learner.train_mode(False)
    return losses


def predict(learner, seed: int = 9):
    learner.train_mode(False)
    with torch.no_grad():
        return learner.predict(batch_of(learner, seed=seed).images)
