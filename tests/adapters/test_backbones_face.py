"""The one face: every family of models gives features, tokens, depth and a hash in the same way."""

import copy

import pytest
import torch
from torch import nn

from studio.core import registry
from studio.core.errors import UsageError

VIT = "img_size=32&patch_size=8&embed_dim=32&depth=2&num_heads=2"
HF = "image_size=32&patch_size=8&hidden_size=32&num_hidden_layers=2&num_attention_heads=2"
FAMILIES = {
    "timm-vit": f"timm/vit_small_patch16_224?random&{VIT}",
    "timm-deit3": f"timm/deit3_small_patch16_224?random&{VIT}",
    "timm-swinv2": "timm/swinv2_tiny_window8_256?random&img_size=32&window_size=4&embed_dim=8&depths=1,2&num_heads=1,2",
    "timm-dinov2": "timm/vit_small_patch14_dinov2?random&img_size=28&embed_dim=32&depth=2&num_heads=2",
    "timm-eva02": f"timm/eva02_tiny_patch14_224?random&{VIT}",
    "timm-convnextv2": "timm/convnextv2_atto?random&img_size=64&depths=1,1,2,1&dims=8,16,24,32",
    "timm-resnet": "timm/resnet18?random&img_size=64",
    "timm-maxvit": "timm/test_maxvit?random&img_size=64",
    "hf-vit": f"hf/vit?random&{HF}",
    "hf-deit": f"hf/deit?random&{HF}",
    "hf-swin": "hf/swin?random&image_size=32&patch_size=4&window_size=4&embed_dim=12&depths=1,2&num_heads=1,2",
    "hf-dinov2": f"hf/dinov2?random&{HF}",
    "hf-beit": f"hf/beit?random&{HF}",
    "hf-siglip": f"hf/siglip?random&{HF}",
    "hf-siglip-vision": f"hf/siglip_vision_model?random&{HF}",
    "hf-convnextv2": "hf/convnextv2?random&image_size=64&depths=1,1,2,1&hidden_sizes=8,16,24,32",
    "conv4": "studio/conv4",
    "lenet": "studio/lenet",
    "mlp": "studio/mlp?width=32",
    "osnet": "studio/osnet?image_size=32&width=8",
    "resnet12": "studio/resnet12?image_size=32&widths=8,16,24,32",
}
CNNS = ("convnext", "resnet", "conv4", "lenet", "mlp", "osnet", "maxvit")


@pytest.fixture(params=FAMILIES, scope="module")
def family(request):
    return request.param, registry.backbone(FAMILIES[request.param])


def images(backbone, count=2):
    start = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, backbone.image_size, backbone.image_size, generator=start)


def test_a_family_gives_features_tokens_and_a_map_of_the_promised_shapes(family):
    name, backbone = family
    batch = images(backbone)
    with torch.inference_mode():
        features, tokens, feature_map = backbone.embed(batch), backbone.tokens(batch), backbone.feature_map(batch)
    assert backbone.kind == ("cnn" if any(part in name for part in CNNS) else "vit")
    assert features.shape == (2, backbone.dim) and features.dtype == torch.float32 and features.isfinite().all()
    height, width = feature_map.shape[2:]
    assert height == width and tokens.shape == (2, height * width, feature_map.shape[1])
    assert torch.equal(feature_map.flatten(2).transpose(1, 2), tokens)
    assert not torch.allclose(features[0], features[1])


def test_blocks_hold_every_parameter_exactly_once_from_input_to_output(family):
    _, backbone = family
    grouped = [id(p) for group in backbone.blocks() for part in group for p in part.parameters()]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in backbone.parameters()}
    assert len(backbone.blocks()) >= len(backbone.layers()) >= 2


def test_layers_run_in_the_order_of_their_blocks(family):
    _, backbone = family
    ran = []
    hooks = [
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
        for index, layer in enumerate(backbone.layers())
    ]
    backbone.embed(images(backbone))
    for hook in hooks:
        hook.remove()
    assert ran == list(range(len(backbone.layers())))
    order = {id(p): depth for depth, group in enumerate(backbone.blocks()) for part in group for p in part.parameters()}
    depths = [{order[id(p)] for p in layer.parameters()} for layer in backbone.layers()]
    assert [max(depth) for depth in depths] == sorted(max(depth) for depth in depths)


def test_blocks_are_those_of_timms_own_layer_decay():
    backbone = registry.backbone(FAMILIES["timm-vit"])
    from timm.optim import param_groups_layer_decay

    groups = param_groups_layer_decay(backbone.module, weight_decay=0.0, layer_decay=0.5)
    scale = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    blocks = backbone.blocks()
    for depth, group in enumerate(blocks):
        for parameter in (p for part in group for p in part.parameters()):
            assert scale[id(parameter)] == 0.5 ** (len(blocks) - 1 - depth)


def test_tokens_leave_out_class_distillation_and_register_tokens():
    registers = registry.backbone(f"hf/dinov2_with_registers?random&{HF}&num_register_tokens=5")
    batch = images(registers)
    hidden = registers.module.dinov2_with_registers(pixel_values=batch).last_hidden_state
    assert hidden.shape[1] == 16 + 6
    assert torch.equal(registers.tokens(batch), hidden[:, 6:])
    deit = registry.backbone("timm/deit_tiny_distilled_patch16_224?random&embed_dim=32&depth=1&num_heads=2&img_size=32")
    assert deit.tokens(images(deit)).shape == (2, 4, 32)


def test_hugging_face_features_are_what_the_models_own_classifier_sees():
    from transformers import AutoModelForImageClassification

    for name in ("hf-vit", "hf-deit", "hf-swin", "hf-dinov2", "hf-beit", "hf-siglip", "hf-convnextv2"):
        backbone = registry.backbone(FAMILIES[name])
        whole = AutoModelForImageClassification.from_config(backbone.module.config).eval()
        whole.load_state_dict(backbone.module.state_dict(), strict=False)
        seen = []
        whole.classifier.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        whole(pixel_values=images(backbone))
        assert torch.allclose(backbone.embed(images(backbone)), seen[0].flatten(1), atol=1e-6), name


def test_untrained_weights_follow_the_seed_and_leave_the_random_numbers_alone():
    spec = FAMILIES["timm-vit"]
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, again, other = (registry.backbone(spec + end) for end in ("", "&seed=0", "&seed=1"))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.hash == again.hash != other.hash


def test_the_hash_tells_weights_and_wiring_and_follows_training():
    backbone = registry.backbone(FAMILIES["timm-vit"])
    heads = registry.backbone(FAMILIES["timm-vit"].replace("num_heads=2", "num_heads=4"))
    assert all(torch.equal(a, b) for a, b in zip(backbone.state().values(), heads.state().values(), strict=True))
    assert backbone.hash != heads.hash  # the same tensors, computing something else
    fresh = backbone.hash
    assert copy.deepcopy(backbone).hash == fresh and len(fresh) == 32
    with torch.no_grad():
        next(backbone.parameters()).add_(1e-3)
    assert backbone.hash != fresh


def test_the_state_goes_out_and_in_and_a_wrong_one_is_refused():
    first, second = (registry.backbone(FAMILIES["timm-vit"] + f"&seed={seed}") for seed in (0, 1))
    second.load_state(first.state())
    assert first.hash == second.hash
    with pytest.raises(UsageError, match="not those of timm/resnet18"):
        registry.backbone("timm/resnet18?random&img_size=64").load_state(first.state())


def test_what_is_frozen_neither_learns_nor_drifts():
    backbone = registry.backbone("timm/resnet18?random&img_size=64").freeze(3)
    backbone.train()
    norms = [part for part in backbone.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    kept = [(part.training, part.running_mean.clone()) for part in norms]
    backbone.embed(images(backbone)).sum().backward()
    for (training, mean), part in zip(kept, norms, strict=True):
        assert training == part.weight.requires_grad
        assert torch.equal(mean, part.running_mean) == (not training)
    assert {training for training, _ in kept} == {True, False}
    assert not any(part.training for part in backbone.freeze().train().modules())


def test_grey_backbones_take_colour_images():
    backbone = registry.backbone("studio/conv4?in_chans=1")
    batch = images(backbone)
    assert torch.equal(backbone.embed(batch), backbone.embed(batch.mean(1, keepdim=True)))


def test_conv4_and_resnet12_have_the_sizes_of_their_papers():
    conv4 = registry.backbone("studio/conv4")
    assert conv4.dim == 64 and conv4.image_size == 28
    assert sum(p.numel() for p in conv4.parameters()) == 4 * 64 * 3 + 9 * 64 * (3 + 3 * 64)
    assert registry.backbone("studio/conv4", image_size=84).dim == 1600
    resnet = registry.backbone("studio/resnet12")
    assert resnet.dim == 640 and sum(p.numel() for p in resnet.parameters()) == pytest.approx(12.4e6, rel=0.01)
