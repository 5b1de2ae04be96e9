"""Image sizes: position embeddings are resampled, and what a network can't take is refused with the nearest."""

import pytest
import torch

from studio.core import registry
from studio.core.errors import UsageError

VIT = "patch_size=8&embed_dim=32&depth=2&num_heads=2"
HF = "image_size=32&patch_size=8&hidden_size=32&num_hidden_layers=2&num_attention_heads=2"


def images(size: int) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["vit", "deit", "dinov2", "beit", "siglip"])
def test_hugging_face_positions_are_resampled_as_the_model_itself_interpolates_them(kind, tmp_path):
    from transformers import ViTImageProcessor

    small = registry.backbone(f"hf/{kind}?random&{HF}")
    small.module.save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    large = registry.backbone(f"file:{tmp_path}", image_size=48)
    assert large.image_size == 48
    flag = {} if kind == "dinov2" else {"interpolate_pos_encoding": True}  # DINOv2 always does
    expected = small.module(pixel_values=images(48), **flag).logits
    assert torch.allclose(large.embed(images(48)), expected, atol=1e-5)
    assert large.tokens(images(48)).shape[1] == 36


def test_timm_positions_are_resampled_from_the_file(tmp_path):
    import timm

    name, shape = "vit_tiny_patch16_224", {"patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
    model = timm.create_model(name, num_classes=3, img_size=32, **shape).eval()
    timm.models.save_for_hf(model, tmp_path, safe_serialization=True)
    large = registry.backbone(f"file:{tmp_path}", image_size=48)
    model.set_input_size(img_size=48)
    model.reset_classifier(0)
    assert torch.allclose(large.embed(images(48)), model(images(48)), atol=1e-5)
    assert large.image_size == 48 and large.preprocess.crop_pct == 0.9


def test_a_cnn_takes_any_size_with_the_same_weights():
    small, large = (registry.backbone("pip/tf_efficientnet_lite0", image_size=size) for size in (None, 160))
    assert small.hash == large.hash and large.image_size == 160
    assert large.embed(images(160)).shape == (2, 1280)


@pytest.mark.parametrize(
    ("spec", "size", "nearest"),
    [
        (f"timm/vit_tiny_patch16_224?random&{VIT}", 50, "8 x 8 pixels.*48 and 56"),
        ("timm/vit_small_patch14_dinov2?random&embed_dim=32&depth=1&num_heads=2", 224 + 1, "14 x 14.*224 and 238"),
        (f"hf/vit?random&{HF}", 50, "8 x 8 pixels.*48 and 56"),
        ("timm/test_maxvit?random", 100, "windows.*96 and 128"),
        ("studio/conv4", 15, "windows and strides.*16"),
    ],
)
def test_a_size_that_does_not_fit_is_refused_with_the_nearest_that_do(spec, size, nearest):
    with pytest.raises(UsageError, match=f"model.image_size.*can't take {size} x {size}.*{nearest}"):
        registry.backbone(spec, image_size=size)


def test_the_nearest_sizes_named_do_work():
    for size in (96, 128):
        backbone = registry.backbone("timm/test_maxvit?random", image_size=size)
        assert backbone.embed(images(size)).shape == (2, backbone.dim)


def test_swin_takes_other_sizes_by_padding_its_windows():
    spec = "timm/swinv2_tiny_window8_256?random&window_size=4&embed_dim=12&depths=1,1&num_heads=1,2"
    for size in (32, 40, 56):
        backbone = registry.backbone(spec, image_size=size)
        assert backbone.embed(images(size)).shape == (2, 24)


def test_a_table_that_is_no_grid_of_positions_is_not_stretched():
    from adapters.backbones.positions import fit_positions

    with pytest.raises(UsageError, match="can't be resampled"):
        fit_positions("relative_position_bias_table", torch.zeros(9, 2), torch.zeros(25, 2).T)
    with pytest.raises(UsageError, match="can't be resampled"):
        fit_positions("pos_embed", torch.zeros(1, 18, 4), torch.zeros(1, 37, 8))


def test_positions_keep_their_leading_tokens_and_are_smooth():
    from adapters.backbones.positions import fit_positions

    ramp = torch.arange(4.0).repeat_interleave(4).reshape(1, 16, 1)
    table = torch.cat([torch.full((1, 2, 1), 9.0), ramp], dim=1)
    wide = fit_positions("pos_embed", table, torch.zeros(1, 2 + 64, 1))
    assert torch.equal(wide[:, :2], table[:, :2])
    rows = wide[0, 2:, 0].reshape(8, 8)
    assert torch.allclose(rows, rows[:, :1].expand(8, 8), atol=1e-5)
    assert (rows[:, 0].diff() > 0).all()
