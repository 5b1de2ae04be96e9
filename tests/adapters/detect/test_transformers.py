"""Detectors of transformers: the model's own loss and boxes, pretrained as a whole, other classes."""

import re

import numpy as np
import pytest
import torch
import transformers
from small_detectors import DETECTORS, SIZE, look, made, small, train

from adapters.detect.data.batches import BoxBatches
from adapters.detect.hf_base import TransformerDetector, centred
from adapters.detect.task import DetectTrain
from studio import run
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.home import Home
from studio.core.streams import Step

OURS = [name for name in DETECTORS if issubclass(registry.get(name), TransformerDetector)]

# a class's at the start; DETR and YOLOS have a class for nothing instead
CHANCES = {"detect/conditional-detr": 0.01, "detect/deformable-detr": 0.01, "detect/rf-detr": 0.01}
CHANCES |= {"detect/rt-detr-v2": 1 / 3, "detect/d-fine": 1 / 3}


def batch_of(scenes, count: int = 2) -> dict:
    pixels, boxes, preprocess = scenes
    return BoxBatches(pixels, boxes, preprocess, DetectTrain(batch_size=count, augment="none")).batch(0)


@pytest.mark.parametrize("method", OURS)
def test_the_named_losses_add_up_to_the_models_own(method, scenes):
    learner, batch = small(method), batch_of(scenes)
    learner.train_mode(False)
    labels = [
        {"class_labels": classes[classes >= 0], "boxes": centred(boxes[classes >= 0]) / SIZE}
        for boxes, classes in zip(batch.boxes, batch.labels, strict=True)
    ]
    whole = learner.module(pixel_values=batch.images, labels=labels).loss
    named = learner.losses(batch, Step(0, 1))
    assert {"classification", "box", "giou"} <= named.keys()
    torch.testing.assert_close(sum(named.values()), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", OURS)
def test_boxes_are_those_of_as_many_queries_as_asked_for_and_lie_in_the_image(method, scenes):
    learner = small(method)
    learner.train_mode(True)
    learner.losses(batch_of(scenes), Step(0, 1))
    learner.train_mode(False)
    assert learner.module(pixel_values=batch_of(scenes).images).logits.shape[1] == 20
    for one in look(learner, scenes):
        assert len(one) <= 40 and (np.diff(one.scores) <= 0).all()


@pytest.mark.parametrize("method", DETECTORS)
def test_the_rows_of_classes_are_all_that_depends_on_their_number(method):
    two, three = small(method).state(), small(method, classes=("a", "b", "c")).state()
    other = {name for name in two if two[name].shape != three[name].shape}
    assert two.keys() == three.keys() and other
    rows = registry.get(method).class_rows
    assert other == {name for name in two if any(re.search(pattern, name) for pattern in rows)}


@pytest.mark.parametrize("method", DETECTORS)
def test_a_detector_goes_on_with_other_classes_and_keeps_what_it_knew(method, scenes):
    old = small(method, classes=("cup", "cat", "dog"))
    train(old, scenes, 1)
    new = small(method, classes=("dog", "bird", "CUP", "cat"))
    fresh = {name: tensor.clone() for name, tensor in new.state().items()}
    assert new.inherit(old.state(), ["cup", "cat", "dog"], ["dog", "bird", "CUP", "cat"]) == ["dog", "CUP", "cat"]
    rows = registry.get(method).class_rows
    for name, tensor in new.state().items():
        layout = next((one for pattern, one in rows.items() if re.search(pattern, name)), None)
        if layout is None:
            assert torch.equal(tensor, old.state()[name]), name
            continue
        here, there = layout.laid_out(tensor, 4), layout.laid_out(old.state()[name], 3)
        first = layout.before
        assert torch.equal(here[:, [first + 2, first + 3, first]], there[:, [first, first + 1, first + 2]])
        assert torch.equal(here[:, first + 1], layout.laid_out(fresh[name], 4)[:, first + 1])
        if layout.before:
            assert torch.equal(here[:, 0], there[:, 0])
        if layout.after:
            assert torch.equal(here[:, -1], there[:, -1])


@pytest.mark.parametrize("method", OURS)
def test_a_detector_that_is_pretrained_as_a_whole_keeps_the_classes_it_knows(method, scenes, tmp_path):
    """The folder is one that transformers itself wrote; its preprocessing is what its file says."""
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    config = small(method).module.config
    config.id2label, config.label2id = {0: "cat", 1: "dog"}, {"cat": 0, "dog": 1}
    torch.manual_seed(0)
    whole = AutoModelForObjectDetection.from_config(config).eval()
    cls = registry.get(method)
    for name, parameter in whole.named_parameters():
        if any(re.search(pattern, name) for pattern in cls.class_rows):
            torch.nn.init.normal_(parameter)  # else all places score alike, and rounding says which become queries
    whole.save_pretrained(tmp_path)
    getattr(transformers, cls.processor)(size={"height": SIZE, "width": SIZE}).save_pretrained(tmp_path)
    assert AutoImageProcessor.from_pretrained(tmp_path) is not None
    backbone = registry.backbone(f"file:{tmp_path}", image_size=SIZE)
    learner = cls(cls.Params())
    learner.setup(LearnerContext(backbone, ["Dog", "cat"], 0, SIZE))
    assert learner.pretrained_classes == ["Dog", "cat"]
    images = batch_of(scenes).images
    learner.train_mode(False)
    with torch.inference_mode():
        own, ours = whole(pixel_values=images), learner.module(pixel_values=images)
    torch.testing.assert_close(ours.pred_boxes, own.pred_boxes, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.logits[..., [1, 0]], own.logits[..., [0, 1]], rtol=1e-4, atol=1e-4)
    other = cls(cls.Params())
    other.setup(LearnerContext(backbone, ["cat", "cow"], 0, SIZE))
    assert other.pretrained_classes == ["cat"]
    if method in CHANCES:
        with torch.inference_mode():
            logits = other.module.train(False)(pixel_values=images).logits
        assert logits[..., 1].sigmoid().median().item() == pytest.approx(CHANCES[method], rel=0.9)
    rates = {round(group["lr"], 6) for group in learner.param_groups(1.0, 0.0) if group["params"]}
    assert learner.params.backbone_lr in rates and 1.0 in rates
    if method != "detect/detr":
        with pytest.raises(UsageError, match=f"this method is detect/detr. Use method {method}"):
            registry.get("detect/detr")().setup(LearnerContext(backbone, ["cat"], 0, SIZE))


def test_halves_reach_no_matcher(scenes):
    learner = small("detect/detr")
    with torch.autocast("cpu", torch.bfloat16):
        losses = learner.losses(batch_of(scenes), Step(0, 1))
    assert all(loss.dtype == torch.float32 and torch.isfinite(loss) for loss in losses.values())


def test_more_queries_than_places_are_refused():
    with pytest.raises(UsageError, match="only 36"):
        made("detect/rf-detr", queries=37)


def test_yolos_is_the_plain_transformer_it_was_given(scenes):
    """Without queries, patch tokens come out as from timm's own network."""
    learner = small("detect/yolos")
    backbone = registry.backbone("timm/vit_tiny_patch16_224?random&depth=2&embed_dim=64&num_heads=2", image_size=SIZE)
    vit, images = learner.module.vit.eval(), batch_of(scenes).images
    with torch.inference_mode():
        embedded = vit.embeddings(images)[:, :-20]
        ours = vit.layernorm(vit.encoder(embedded, SIZE, SIZE).last_hidden_state)
        torch.testing.assert_close(ours, backbone.module.forward_features(images), rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="plain ViT"):
        made("detect/yolos", "timm/resnet18?random")


def test_a_plain_transformer_serves_where_one_map_is_enough(scenes):
    learner = small("detect/detr", backbone="timm/vit_tiny_patch16_224?random&depth=1&embed_dim=64&num_heads=2")
    assert len(look(learner, scenes)) == 8
    with pytest.raises(UsageError, match="1/8 and 1/16 and 1/32"):
        made("detect/rt-detr-v2", "timm/vit_tiny_patch16_224?random")


def test_frozen_groups_stay_and_the_rest_learns(scenes):
    learner = small("detect/rt-detr-v2", freeze=3)
    before = {name: tensor.clone() for name, tensor in learner.state().items()}
    train(learner, scenes, 1)
    frozen = [name for name, parameter in learner.module.named_parameters() if not parameter.requires_grad]
    assert frozen and all("backbone" in name for name in frozen)
    assert all(torch.equal(learner.state()[name], before[name]) for name in frozen)
    assert not torch.equal(learner.state()["model.enc_score_head.weight"], before["model.enc_score_head.weight"])


@pytest.mark.parametrize("change", [{"train.multi_scale": 0.5}, {"eval.scales": [1.0, 0.5]}])
def test_sizes_with_fewer_places_than_queries_are_refused_before_training(change, tmp_path):
    recipe = {
        "task": "detect", "method": "detect/rf-detr", "device": "cpu", "params": {"queries": 16, "stride": 32},
        "model": {"image_size": 128, "backbone": "timm/resnet18?random"},
        "data": {"train": "builtin:scenes?images=6&size=96&classes=2"}, "train": {"epochs": 1, "batch_size": 2},
    }  # fmt: skip
    with pytest.raises(UsageError, match=f"only 4 in inputs of 64 pixels, as {next(iter(change))} has them"):
        run(recipe, change, home=Home.find(tmp_path / "home"))


@pytest.mark.parametrize("method", OURS)
def test_untrained_layers_start_as_wide_as_their_inputs_ask_for(method):
    learner = small(method)
    for name, part in learner.module.named_modules():
        if name.startswith(learner.backbone_path) or not isinstance(part, (torch.nn.Linear, torch.nn.Conv2d)):
            continue
        inputs, outputs = part.weight[0].numel(), part.weight[:, 0].numel()
        narrowest = min((1 / (3 * inputs)) ** 0.5, (2 / (inputs + outputs)) ** 0.5)  # torch's start, Xavier's
        spread = part.weight.detach().std().item()
        assert spread == 0 or spread > 0.7 * narrowest, (name, spread, narrowest)


@pytest.mark.parametrize("method", ["detect/detr", "detect/conditional-detr", "detect/deformable-detr"])
def test_queries_of_an_untrained_detr_start_far_apart(method):
    queries = small(method).module.model.query_position_embeddings.weight
    assert 0.9 < queries.std().item() < 1.1


@pytest.mark.parametrize("method", CHANCES)
def test_classes_start_with_their_chance(method, scenes):
    learner = small(method)
    learner.train_mode(False)
    with torch.inference_mode():
        logits = learner.module(pixel_values=batch_of(scenes).images).logits
    assert logits.sigmoid().median().item() == pytest.approx(CHANCES[method], rel=0.9)
