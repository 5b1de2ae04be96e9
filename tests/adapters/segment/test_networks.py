"""Every network builds without a download, learns, and gives back the same maps from its file."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_networks import (
    NETWORKS,
    SIZE,
    VIT,
    asked,
    dinov2_folder,
    dpt_folder,
    encoder_folder,
    mask2former_folder,
    scenes,
    small,
    train,
)
from torch.nn import Dropout, Dropout2d
from torch.nn.functional import interpolate

from adapters.segment.eomt import annealed
from adapters.segment.queries import Queries, QuerySegmenter, by_class
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.streams import Batch, Step
from studio.data.masks.class_map import VOID
from studio.data.preprocess import Preprocess


@pytest.fixture(scope="module")
def split():
    return scenes()


@pytest.mark.parametrize("method", NETWORKS)
def test_the_loss_falls_and_a_file_gives_the_same_maps(method, split):
    learner = small(method)
    sums = train(learner, split, 6)
    assert np.mean(sums[-2:]) < np.mean(sums[:2])
    found = asked(learner, split)
    assert found.shape[:2] == (4, 3) and found.shape[2] >= SIZE // 32
    again = small(method)
    again.load_state({name: tensor.clone() for name, tensor in learner.state().items()})
    torch.testing.assert_close(asked(again, split), found, rtol=0, atol=0)


@pytest.mark.parametrize("method", NETWORKS)
def test_an_image_that_is_void_all_over_has_a_loss_and_its_gradient_is_finite(method, split):
    learner = small(method)
    learner.train_mode(True)
    masks = torch.full((2, SIZE, SIZE), VOID, dtype=torch.uint8)
    masks[0] = torch.from_numpy(split.maps[0])
    losses = learner.losses(Batch(images=torch.randn(2, 3, SIZE, SIZE), masks=masks), Step(0, 1))
    sum(losses.values()).backward()
    gradients = [p.grad for p in learner.module.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)


def test_every_network_has_the_dropout_that_is_asked_for():
    for method in NETWORKS:
        if not issubclass(registry.get(method), QuerySegmenter):
            layers = [
                part.p
                for part in small(method, dropout=0.375).module.modules()
                if isinstance(part, (Dropout, Dropout2d))
            ]
            assert 0.375 in layers, method


def test_the_same_seed_gives_the_same_network():
    first, second = small("segment/unet").state(), small("segment/unet").state()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("method", ["segment/light-pyramid", "segment/dpt"])
def test_a_plain_transformer_carries_a_pyramid_by_resampled_maps(method):
    learner = small(method, VIT)
    assert learner.resampled and not learner.any_size
    side = learner.module.maps.backbone.image_size
    with torch.inference_mode():
        maps = learner.module.maps(torch.zeros(1, 3, side, side))
    assert [tuple(one.shape[-2:]) for one in maps] == [(side // stride, side // stride) for stride in (4, 8, 16, 32)]
    assert len({int(place) for place in learner.module.maps.indices}) > 1  # of several depths


def test_an_output_stride_gives_a_finer_last_map():
    plain = small("segment/deeplabv3", "timm/resnet18?random")
    fine = small("segment/deeplabv3", "timm/resnet18?random&output_stride=8")
    with torch.inference_mode():
        sizes = [learner.module(torch.zeros(1, 3, SIZE, SIZE)).shape[-1] for learner in (plain, fine)]
    assert sizes == [SIZE // 32, SIZE // 8]


@pytest.mark.parametrize("stride", [8, 16])
def test_an_output_stride_leaves_each_stage_its_own_map(stride):
    plain, fine = (small("segment/fcn", f"timm/resnet18?random&output_stride={one}") for one in (32, stride))
    assert fine.module.maps.indices == plain.module.maps.indices and fine.state().keys() == plain.state().keys()
    with torch.inference_mode():
        maps = fine.module.maps(torch.zeros(1, 3, SIZE, SIZE))
    assert [SIZE // one.shape[-1] for one in maps] == [8, min(16, stride), min(32, stride)]
    alone = small("segment/linear", f"timm/resnet18?random&output_stride={stride}").module.maps
    assert alone.channels == [fine.module.maps.backbone.dim]  # one map is the deepest


def test_rates_of_backbone_and_head_and_what_stays_frozen(split):
    learner = small("segment/fcn", backbone_lr=0.1)
    groups = [group for group in learner.param_groups(1e-2, 0.1) if group["params"]]
    assert {round(group["lr"], 9) for group in groups} == {1e-3, 1e-2}
    assert all(group["weight_decay"] == 0 for group in groups if group["params"][0].ndim <= 1)
    counted = [id(p) for group in groups for p in group["params"]]
    assert len(counted) == len(set(counted)) == len(list(learner.module.parameters()))
    frozen = small("segment/linear")
    before = {name: t.clone() for name, t in frozen.state().items() if ".backbone." in name}
    train(frozen, split, 2, lr=0.1)
    assert before and all(torch.equal(frozen.state()[name], tensor) for name, tensor in before.items())


def test_another_set_of_classes_takes_all_but_the_last_layers():
    old, new = small("segment/upernet"), small("segment/upernet", classes=("a", "b", "c", "d", "e"))
    new.inherit(old.state())
    for name, tensor in old.state().items():
        assert "classifier" in name or torch.equal(tensor, new.state()[name])
    with pytest.raises(UsageError, match="does not fit"):
        small("segment/upernet", width=64).inherit(old.state())


def test_an_auxiliary_head_learns_and_is_not_kept():
    learner = small("segment/pspnet")
    batch = Batch(images=torch.randn(1, 3, SIZE, SIZE), masks=torch.zeros(1, SIZE, SIZE, dtype=torch.uint8))
    assert {"cross-entropy", "auxiliary_cross-entropy"} == learner.losses(batch, Step(0, 1)).keys()
    assert not any(name.startswith("auxiliary") for name in learner.state())


def test_segformer_needs_an_encoder_of_its_kind_and_takes_its_weights():
    with pytest.raises(UsageError, match="segformer-head"):
        small("segment/segformer", "timm/test_efficientnet?random")
    learner = small("segment/segformer")
    own = registry.backbone(encoder_folder(), image_size=SIZE).module.segformer.state_dict()
    inside = learner.whole().segformer.state_dict()
    assert own.keys() == inside.keys() and all(torch.equal(own[name], inside[name]) for name in own)


def test_a_whole_segformer_is_gone_on_from_with_its_decoder_and_the_classes_that_it_knows_by_name(tmp_path):
    trained = small("segment/segformer")
    trained.train_mode(False)
    trained.save_hugging_face(Preprocess(SIZE), ["background", "0", "1"], tmp_path)
    learner = small("segment/segformer", f"file:{tmp_path}", classes=("1", "new", "0"))
    before, now = trained.whole().state_dict(), learner.whole().state_dict()
    assert all(torch.equal(before[name], now[name]) for name in now if "classifier" not in name)
    assert torch.equal(now["decode_head.classifier.weight"][[0, 2]], before["decode_head.classifier.weight"][[2, 1]])
    with pytest.raises(UsageError, match="Set params.width to 32"):
        small("segment/segformer", f"file:{tmp_path}", width=64)


def test_eomt_takes_the_weights_of_dinov2_and_sees_what_it_sees():
    with pytest.raises(UsageError, match="DINOv2's kind"):
        small("segment/eomt", VIT)
    learner = small("segment/eomt")
    encoder = registry.backbone(dinov2_folder(), image_size=SIZE).module.dinov2_with_registers
    model = learner.module.model
    images = torch.randn(2, 3, SIZE, SIZE)
    learner.train_mode(False)
    with torch.inference_mode():
        expected, found = encoder.embeddings(images), model.embeddings(images)
        torch.testing.assert_close(found, expected)
        expected = encoder.encoder.layer[0](expected)
        expected = expected[0] if isinstance(expected, tuple) else expected
        torch.testing.assert_close(model.layers[0](found, None), expected)


def test_a_whole_eomt_is_gone_on_from_with_the_classes_that_it_knows_by_name(tmp_path):
    trained = small("segment/eomt")
    trained.train_mode(False)
    trained.save_hugging_face(Preprocess(SIZE), ["background", "0", "1"], tmp_path)
    spec = f"file:{tmp_path}"
    whole = registry.backbone(spec, image_size=SIZE)
    learner = small("segment/eomt", spec, classes=("1", "new", "0"))
    known, own = whole.module.class_predictor.weight, learner.module.model.class_predictor.weight
    assert torch.equal(own[[0, 2, 3]], known[[2, 1, 3]])  # and that of "no object"
    images = torch.randn(2, 3, SIZE, SIZE)
    learner.train_mode(False)
    with torch.inference_mode():
        masks = [model.eval()(pixel_values=images).masks_queries_logits for model in (whole.module, learner.whole())]
        assert torch.equal(*masks) and whole.feature_map(images).shape == (2, 32, SIZE // 8, SIZE // 8)
    larger = registry.backbone(spec, image_size=2 * SIZE)
    assert larger.feature_map(torch.randn(1, 3, 2 * SIZE, 2 * SIZE)).shape[-1] == 2 * SIZE // 8


WHOLE = {"segment/mask2former": (mask2former_folder, "class_predictor"), "segment/dpt": (dpt_folder, "head.head.4")}


@pytest.mark.parametrize("method", WHOLE)
def test_a_whole_network_of_transformers_is_gone_on_from_with_all_but_the_last_layer(method, split):
    folder, last = WHOLE[method][0](), WHOLE[method][1]
    whole, learner = registry.backbone(folder, image_size=SIZE), small(method, folder, classes=("1", "new", "0"))
    before, now = whole.module.state_dict(), learner.whole().state_dict()
    assert {name for name in now if not torch.equal(now[name], before[name])} == {f"{last}.weight"}
    kept = {0: 2, 2: 1, 3: 3} if method == "segment/mask2former" else {0: 2, 2: 1}  # with "no object"
    assert all(torch.equal(now[f"{last}.weight"][row], before[f"{last}.weight"][place]) for row, place in kept.items())
    trunk = {id(parameter) for parameter in whole._trunk().parameters()}
    own = [group for group in learner.param_groups(1.0, 0.1) if group["lr"] == learner.params.backbone_lr]
    assert sum(len(group["params"]) for group in own) == len(trunk)
    small(method, folder, classes=("a", "b")).inherit(learner.state())  # which leaves the last layer out
    sums = train(learner, split, 6)
    assert np.mean(sums[-2:]) < np.mean(sums[:2]) and asked(learner, split).shape[:2] == (4, 3)


def test_a_dpt_that_measures_depth_names_no_pixels(tmp_path):
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    config = DPTConfig.from_pretrained(dpt_folder().removeprefix("file:"))
    DPTForDepthEstimation(config).save_pretrained(tmp_path)
    DPTImageProcessor(size={"height": SIZE, "width": SIZE}).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="lacks tensors of a DPTForSemanticSegmentation"):
        small("segment/dpt", f"file:{tmp_path}")


def test_eomt_s_queries_lose_their_masks_one_block_after_the_other():
    assert annealed(0.0, 2) == [1, 1] and annealed(1.0, 2) == [0, 0]
    halfway = annealed(0.375, 2)
    assert halfway == [pytest.approx(0.5**0.9), 1]
    learner = small("segment/eomt")
    learner.train_mode(True)
    batch = Batch(images=torch.randn(1, 3, SIZE, SIZE), masks=torch.zeros(1, SIZE, SIZE, dtype=torch.uint8))
    learner.losses(batch, Step(3, 8))
    assert learner.module.model.attn_mask_probs.tolist() == pytest.approx(halfway)
    learner.train_mode(False)
    assert learner.module.model.attn_mask_probs.tolist() == [0, 0]


@pytest.mark.parametrize("method", ["segment/linear", "segment/eomt"])
def test_low_rank_updates_learn_in_place_of_a_backbone_and_are_merged_for_export(method, split):
    learner = small(method, VIT if method == "segment/linear" else "", lora=2)
    side = 64 if method == "segment/eomt" else learner.module.maps.backbone.image_size
    before = {name: tensor.clone() for name, tensor in learner.state().items()}
    train(learner, scenes(2, side), 2, lr=1e-2)
    moved = {name for name, tensor in learner.state().items() if not torch.equal(before[name], tensor)}
    assert any("lora_" in name for name in moved) and not any("base_layer" in name for name in moved)
    images = torch.randn(1, 3, side, side)
    learner.train_mode(False)
    exported = learner.export_module().eval()
    assert not any("lora_" in name for name, _ in exported.named_parameters())
    with torch.inference_mode():
        torch.testing.assert_close(exported(images), learner.predict(images), rtol=1e-4, atol=1e-4)


def test_mask2former_learns_a_mask_for_each_class_that_an_image_shows():
    labels, masks = by_class(torch.tensor([[3, 3], [VOID, 0]], dtype=torch.uint8))
    assert labels.tolist() == [0, 3] and masks.sum((1, 2)).tolist() == [1, 2]


def test_masks_of_queries_are_enlarged_before_they_are_summed():
    draw = torch.Generator().manual_seed(0)
    classes, masks = torch.randn(1, 3, 3, generator=draw), 8 * torch.randn(1, 3, 4, 4, generator=draw)
    given = SimpleNamespace(class_queries_logits=classes, masks_queries_logits=masks)
    found = Queries(lambda pixel_values: given, any_size=True)(torch.zeros(1, 3, 16, 16))
    large = interpolate(masks.double(), (16, 16), mode="bilinear").sigmoid()
    expected = torch.zeros(1, 2, 16, 16, dtype=torch.float64)
    for query in range(3):
        for label in range(2):
            expected[:, label] += classes.double().softmax(-1)[:, query, label].view(1, 1, 1) * large[:, query]
    torch.testing.assert_close(found.exp().double(), expected, rtol=1e-4, atol=1e-5)
