"""Things with a mask each: told apart, learned, judged by COCO's AP of masks, drawn over a photo."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from inline_runs import work
from PIL import Image
from small_networks import RUN, SIZE, TINY, mask2former_folder

from adapters.segment.instances.data import ThingBatches, ThingSplit, boxes_around
from adapters.segment.instances.predictor import FoundThings, find
from adapters.segment.task import SegmentTrain
from studio import cli
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.streams import Step
from studio.data import open_data
from studio.data.masks.class_map import VOID, ArrayMask, Relabelled, Turned, connected, things_of
from studio.data.masks.instances import Instances
from studio.data.masks.outlines import Outlined, filled_by
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize
from studio.figures.masks import draw_instances
from studio.runs.export import export_checkpoint
from studio.runs.predict import load_checkpoint

SMALL = {"width": 32, "hidden": 64, "mask_width": 16, "mask_size": 7, "proposals": 50, "sampled": 32, "anchor": 12}

QUERIES = {"width": 32, "queries": 6, "heads": 2, "encoder_layers": 1, "decoder_layers": 2}
FINDERS = {"segment/mask-rcnn": SMALL, "segment/mask2former-instances": QUERIES}


def split_of_scenes(images: int = 4, size: int = SIZE) -> ThingSplit:
    data = open_data(f"builtin:scenes?images={images}&size={size}&classes=2&most=3&truth=masks")
    truths = [
        Instances.of([(label - 1, inside) for label, inside in things_of(item.mask)], (size, size))
        for item in data.items
    ]
    pixels = np.stack([item.source.read().transpose(2, 0, 1) for item in data.items])
    return ThingSplit(pixels, truths, data)


def network(method="segment/mask-rcnn", classes=("0", "1"), backbone=TINY, **params):
    cls = registry.get(method)
    learner = cls(cls.Params(**FINDERS[method], **params))
    learner.setup(LearnerContext(registry.backbone(backbone, image_size=SIZE), list(classes), 0, SIZE))
    return learner


def test_connected_parts_of_a_class_are_things_and_void_is_none():
    pixels = np.zeros((6, 8), np.uint8)
    pixels[:2, :2] = pixels[2, 2] = pixels[4:, 4:] = 1
    pixels[0, 7] = VOID
    things = things_of(ArrayMask(pixels))
    assert [label for label, _ in things] == [0, 1, 1] and [int(inside.sum()) for _, inside in things] == [34, 5, 8]
    assert [label for label, _ in things_of(Relabelled(ArrayMask(pixels), [-1, 7]))] == [7, 7]
    turned = things_of(Turned(ArrayMask(pixels), 6))
    assert turned[1][1].shape == (8, 6) and turned[1][1][:2, 4:].all()


def test_sources_that_know_their_things_tell_touching_ones_apart():
    for item in open_data("builtin:scenes?images=6&size=96&classes=2&most=6&truth=masks").items:
        things, whole = things_of(item.mask), item.mask.read()
        covered = np.zeros(whole.shape, int)
        for label, inside in things:
            assert (whole[inside] == label).all()
            covered += inside
        assert ((covered == 1) == (whole > 0)).all()
    squares = Outlined((20, 10), ((1, [[2, 2, 7, 2, 7, 8, 2, 8]]), (1, [[7, 2, 12, 2, 12, 8, 7, 8]])))
    assert len(things_of(squares)) == 2 and [label for label, _ in connected(squares.read())] == [0, 1]


def test_a_batch_has_boxes_around_masks_and_is_a_function_of_its_step():
    split = split_of_scenes()
    one, two = (ThingBatches(split, Preprocess(SIZE), SegmentTrain(batch_size=3)) for _ in range(2))
    batch, again = one.batch(2), two.batch(2)
    assert torch.equal(batch.images, again.images) and torch.equal(batch.masks, again.masks)
    for masks, boxes, labels in zip(batch.masks, batch.boxes, batch.labels, strict=True):
        for mask, box in zip(masks[labels >= 0], boxes[labels >= 0], strict=True):
            rows, columns = torch.nonzero(mask, as_tuple=True)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert boxes_around(torch.zeros(0, 4, 4, dtype=torch.uint8)).shape == (0, 4)


@pytest.mark.parametrize("method", FINDERS)
def test_the_losses_fall_and_a_file_finds_the_same(method):
    split, learner = split_of_scenes(), network(method)
    batches = ThingBatches(split, Preprocess(SIZE), SegmentTrain(batch_size=4, augment="none"))
    optimizer = torch.optim.AdamW([group for group in learner.param_groups(2e-3, 0.01) if group["params"]])
    torch.manual_seed(0)
    sums = []
    for step in range(8):
        learner.train_mode(True)
        losses = learner.losses(batches.batch(step), Step(step, 8))
        assert losses.keys() >= {"loss_mask"} or losses.keys() == {"queries"}
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sums.append(float(loss.detach()))
    assert np.mean(sums[-2:]) < np.mean(sums[:2])
    again = network(method)
    again.load_state({name: tensor.clone() for name, tensor in learner.state().items()})
    pixels = torch.from_numpy(split.pixels)
    found = []
    for net in (learner, again):
        net.train_mode(False)
        found.append(find(net, pixels, Preprocess(SIZE), [(80, 100)] * 4))
    for first, second in zip(*found, strict=True):
        assert first.lengths == second.lengths and np.array_equal(first.scores, second.scores)
        assert first.size == (80, 100)
    if method == "segment/mask-rcnn":
        assert all(map(len, found[0]))
    else:  # whose queries draw nothing surely enough yet
        images = normalize(pixels, Preprocess(SIZE))
        with torch.inference_mode():
            drawn = [net.module(pixel_values=images).masks_queries_logits for net in (learner, again)]
        assert torch.equal(*drawn)


@pytest.mark.parametrize("method", FINDERS)
def test_an_image_without_things_has_a_loss(method):
    learner = network(method)
    learner.train_mode(True)
    batches = ThingBatches(split_of_scenes(), Preprocess(SIZE), SegmentTrain(batch_size=2))
    batch = batches.batch(0)
    batch.labels[0] = -1
    losses = learner.losses(batch, Step(0, 1))
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_a_query_s_thing_is_as_sure_as_its_class_and_its_mask():
    learner = network("segment/mask2former-instances")
    classes = torch.tensor([[[0.0, 2.0, 0.0], [0.0, 0.0, 9.0]]])  # the second sees nothing
    drawn = torch.full((1, 2, 4, 4), -9.0)
    drawn[0, 0, :2] = 1.0
    learner.module = lambda pixel_values: SimpleNamespace(class_queries_logits=classes, masks_queries_logits=drawn)
    (found,) = learner.find(torch.zeros(1, 3, 4, 4))
    expected = [float(classes[0, 0].softmax(0)[label] * torch.tensor(1.0).sigmoid()) for label in (1, 0)]
    assert found["labels"].tolist() == [1, 0] and found["scores"].tolist() == pytest.approx(expected)
    assert torch.equal(found["masks"][0] > 0.5, drawn[0, 0] > 0)


def two_things() -> Instances:
    masks = np.zeros((2, 30, 40), bool)
    masks[0, 5:15, 5:15] = masks[1, 20:25, 30:40] = True
    return Instances.of([(0, masks[0]), (1, masks[1])], (40, 30), np.array([0.5, 0.9]))


def test_an_answer_says_what_each_thing_covers_and_draws_it():
    answer = FoundThings(two_things().above(0.1), ["cat", "dog"])
    row = json.loads(json.dumps(answer.to_dict()))
    assert (row["label"], row["width"], row["height"]) == ("dog", 40, 30)
    for thing in row["things"]:
        assert filled_by(thing["rle"], (40, 30)).mean() * 100 == pytest.approx(thing["area_percent"], abs=1e-3)
    assert answer.line() == "1 x dog, 1 x cat" and answer.said() == "1 × dog (4.2 %), 1 × cat (8.3 %)"
    drawn = np.asarray(answer.draw(Image.new("RGB", (80, 60), "white")))  # a photo twice as large
    assert (drawn[20, 20] != 255).any() and (drawn[58, 2] == 255).all()
    nothing = FoundThings(two_things().above(1.0), ["cat", "dog"])
    assert nothing.to_dict()["things"] == [] and nothing.line() == "nothing found"
    assert draw_instances(Image.new("RGB", (40, 30)), two_things().above(1.0), ["cat"]).size == (40, 30)


def test_a_run_scores_masks_and_its_checkpoint_draws_them(home, tmp_path, capsys, monkeypatch):
    values = {**RUN, "method": "segment/mask-rcnn", "params": SMALL}
    run, result = work(values, home)
    assert result.status == "finished", result.error
    assert {"map", "map_50", "map_75", "map_per_class", "box_map", "score_threshold"} <= result.metrics.keys()
    assert list(result.metrics["map_per_class"]) == ["0", "1"]  # background is no thing
    assert {"things", "curves"} <= {event["name"] for event in run.events() if event["kind"] == "figure"}
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    photo = tmp_path / "photo.png"
    Image.fromarray(open_data("builtin:scenes?images=1&size=90").items[0].source.read()).save(photo)
    assert cli.main(["predict", result.checkpoint, str(photo), "--out", str(tmp_path / "out"), "--json"]) == 0
    row = json.loads(capsys.readouterr().out.strip().splitlines()[-1])[0]
    assert row["width"] == 90 and isinstance(row["things"], list) and (tmp_path / "out" / "photo.png").exists()
    with pytest.raises(UsageError, match="finds things and has no such form"):
        export_checkpoint(result.checkpoint, "onnx", tmp_path / "onnx", home)
    again = {**values, "model": {**RUN["model"], "checkpoint": result.checkpoint}, "train": {"epochs": 0}}
    _, second = work(again, home)
    assert second.metrics["map"] == pytest.approx(result.metrics["map"], abs=1e-9)


def test_a_whole_mask2former_is_gone_on_from_with_the_classes_that_it_knows_by_name():
    whole = registry.backbone(mask2former_folder(), image_size=SIZE).module
    learner = network("segment/mask2former-instances", ("1", "new", "0"), mask2former_folder(), freeze=2)
    assert learner.pretrained_classes == ["1", "0"]
    before, now = whole.state_dict(), learner.module.state_dict()
    last = "class_predictor.weight"
    assert {name for name in now if not torch.equal(now[name], before[name])} == {last}
    assert torch.equal(now[last][[0, 2, 3]], before[last][[2, 1, 3]])  # and that of "no object"
    still = [name for name, parameter in learner.module.named_parameters() if not parameter.requires_grad]
    assert still and all(name.startswith("model.pixel_level_module.encoder.") for name in still)
    heads = network("segment/mask2former-instances", ("1",), mask2former_folder(), heads_only=True)
    assert {name for name, parameter in heads.module.named_parameters() if parameter.requires_grad} == {
        "class_predictor.weight", "class_predictor.bias",
    }  # fmt: skip


def test_a_whole_mask2former_finds_the_same_after_its_file_and_leaves_as_a_folder_again(home, tmp_path):
    values = {**RUN, "method": "segment/mask2former-instances", "params": {}}
    values |= {"model": {"image_size": SIZE, "backbone": mask2former_folder()}, "train": {"max_steps": 1}}
    run, result = work(values, home)
    assert result.status == "finished", result.error
    assert any("Keep their weights: 0, 1. New: none" in e["message"] for e in run.events() if e["kind"] == "note")
    report = export_checkpoint(result.checkpoint, "hf", tmp_path / "hf", home)
    assert "Mask2FormerForUniversalSegmentation of transformers gives the same logits" in report["note"]
    again = load_checkpoint(result.checkpoint, home, device="cpu").predictor.learner
    left = network("segment/mask2former-instances", ("0", "1"), f"file:{tmp_path / 'hf'}")
    images = torch.randn(2, 3, SIZE, SIZE)
    left.train_mode(False)
    with torch.inference_mode():
        torch.testing.assert_close(left.class_maps()(images), again.class_maps()(images))


def test_what_stands_on_a_backbone_of_ours_leaves_as_no_folder_and_has_no_heads_to_learn_alone(home, tmp_path):
    with pytest.raises(UsageError, match="on a backbone of ours"):
        network("segment/mask2former-instances").save_hugging_face(Preprocess(SIZE), tmp_path / "hf")
    params = {**QUERIES, "heads_only": True}
    _, refused = work({**RUN, "method": "segment/mask2former-instances", "params": params}, home)
    assert refused.status == "failed" and "on which nothing was trained yet" in refused.error
