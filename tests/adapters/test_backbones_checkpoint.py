"""`store/CHECKPOINT`: the backbone of a checkpoint, trained as it was."""

import pytest
import torch

from studio.core import registry
from studio.core.errors import UsageError
from studio.store import Manifest, Store

SPEC = "timm/vit_tiny_patch16_224?random&img_size=32&patch_size=8&embed_dim=32&depth=2&num_heads=2"


def put(home, backbone, tensors, **described):
    """A checkpoint made with `backbone`, holding `tensors`; returns its id."""
    about = {"spec": backbone.spec, "hash": backbone.hash, "image_size": backbone.image_size, **described}
    manifest = Manifest(face="Learner", task="classify", method="finetune/full", classes=["a", "b"], backbone=about)
    return Store(home).put(manifest, tensors).id


def trained(backbone, amount=0.1):
    """Every tensor moved, under the names that a Learner's module gives them."""
    torch.manual_seed(1)
    return {
        f"backbone.{name}": tensor + amount * torch.randn(tensor.shape)
        for name, tensor in backbone.state_dict().items()
    }


def test_trained_weights_come_back_in_whole(home):
    backbone = registry.backbone(SPEC)
    tensors = trained(backbone)
    name = put(home, backbone, {**tensors, "head.weight": torch.zeros(2, 32)})
    back = registry.backbone(f"store/{name}", home=home)
    assert back.spec == f"store/{name}"
    for key, tensor in back.state_dict().items():
        assert torch.equal(tensor, tensors[f"backbone.{key}"]), key


def test_a_part_that_moved_lies_over_the_original(home):
    backbone = registry.backbone(SPEC)
    biases = {name: tensor for name, tensor in trained(backbone).items() if name.endswith("bias")}
    back = registry.backbone(f"store/{put(home, backbone, biases)}", home=home)
    for key, tensor in back.state_dict().items():
        original = backbone.state_dict()[key]
        assert torch.equal(tensor, biases.get(f"backbone.{key}", original)), key


def test_a_head_on_frozen_features_brings_the_original(home):
    backbone = registry.backbone("pip/tf_efficientnet_lite0")
    name = put(home, backbone, {"coef": torch.zeros(2, 1280)})
    assert registry.backbone(f"store/{name}", home=home).hash == backbone.hash


def test_an_original_that_has_changed_is_refused(home):
    backbone = registry.backbone(SPEC)
    name = put(home, backbone, {"coef": torch.zeros(2, 32)}, spec=f"{SPEC}&seed=1")
    with pytest.raises(UsageError, match="not those that"):
        registry.backbone(f"store/{name}", home=home)


def test_trained_positions_are_resampled_for_another_size(home):
    backbone = registry.backbone(SPEC)
    name = put(home, backbone, trained(backbone))
    own, large = (registry.backbone(f"store/{name}", home=home, image_size=size) for size in (None, 64))
    assert large.image_size == 64 and large.tokens(torch.zeros(1, 3, 64, 64)).shape[1] == 64
    assert torch.equal(large.module.pos_embed[:, :1], own.module.pos_embed[:, :1])
    assert torch.equal(large.module.blocks[0].attn.qkv.weight, own.module.blocks[0].attn.qkv.weight)


def test_adapters_are_not_taken_for_a_backbone(home):
    backbone = registry.backbone(SPEC)
    name = put(home, backbone, {"backbone.module.blocks.0.attn.qkv.lora_A.default.weight": torch.zeros(2, 32)})
    with pytest.raises(UsageError, match="more than a backbone .*lora_A"):
        registry.backbone(f"store/{name}", home=home)


def test_the_shape_alone_comes_without_its_original(home):
    backbone = registry.backbone(SPEC)
    name = put(home, backbone, {}, spec="file:/gone", architecture=backbone.architecture)
    empty = registry.backbone(f"store/{name}", home=home, weights=False)
    assert {key: tensor.shape for key, tensor in empty.state().items()} == {
        key: tensor.shape for key, tensor in backbone.state().items()
    }


@pytest.mark.parametrize("layout", ["timm", "hf"])
def test_an_imported_folder_serves_as_a_backbone(home, tmp_path, layout):
    folder = tmp_path / "model"
    if layout == "timm":
        import timm

        shape = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
        timm.models.save_for_hf(
            timm.create_model("vit_tiny_patch16_224", num_classes=3, **shape), folder, safe_serialization=True
        )
    else:
        from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

        shape = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        ViTForImageClassification(ViTConfig(**shape)).save_pretrained(folder)
        ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    checkpoint = Store(home).import_(folder)
    backbone = registry.backbone(f"store/{checkpoint.id}", home=home)
    assert backbone.hash == registry.backbone(f"file:{folder}").hash
    assert backbone.spec == f"store/{checkpoint.id}"
    assert list(home.uploads.iterdir()) == []
