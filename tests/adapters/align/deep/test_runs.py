"""Every deep method the whole way: two tiny domains in, a checkpoint that answers out."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from adapters.align.deep.distance.m3sda import M3sda, parts
from adapters.align.deep.run.batches import AligningBatches
from adapters.align.task import AlignTrain
from adapters.finetune.run.first_head import teach_head
from studio import run
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import Learner, LearnerContext
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.core.streams import Batch, Source, Step, StreamBatches, Target
from studio.core.tool import Bench
from studio.data import open_data
from studio.data.pixels import decode
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize
from studio.device.norms import batch_norms
from studio.engine.decoded import Decoded
from studio.runs.executors import run_inline
from studio.runs.predict import load_checkpoint, online_methods
from studio.runs.runner import submit
from studio.runs.tools.adapt_to_film import AdaptToFilm
from studio.runs.tools.adapt_to_folder import AdaptToFolder
from studio.store import Store

torch.set_num_threads(1)
SIDE, CLASSES = 12, 3
BACKBONE = "studio/conv4?image_size=16&width=8"


def images_of(shift: int, per_class: int, classes: int = CLASSES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bars at a place that tells the class, on a ground that tells the domain."""
    draw = np.random.default_rng(seed + shift)
    labels = np.arange(per_class * classes) % classes
    images = draw.integers(0, 40, (len(labels), SIDE, SIDE)) + shift
    for image, label in zip(images, labels, strict=True):
        image[:, 1 + 3 * label : 4 + 3 * label] += 120
    return images.clip(0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("domains")
    for name, (shift, per_class, classes) in {
        "source": (0, 16, 3), "target": (60, 12, 3), "open": (60, 10, 4), "partial": (60, 12, 2),
    }.items():  # fmt: skip
        x, y = images_of(shift, per_class, classes)
        np.savez(folder / f"{name}.npz", x=x, y=np.array(list("abcd"))[y])
    np.savez(folder / "unlabelled.npz", x=images_of(60, 12)[0])
    return folder


def recipe(folder: Path, method: str, target: str = "target", **sections) -> dict:
    data = {"source": f"npz:{folder}/source.npz", "target": f"npz:{folder}/{target}.npz"}
    values = {
        "task": "align", "method": method, "device": "cpu",
        "model": {"backbone": BACKBONE, **sections.pop("model", {})}, "data": {**data, **sections.pop("data", {})},
        "params": {"bottleneck": 16, "backbone_lr": 1.0, **sections.pop("params", {})},
        "train": {"epochs": 2, "batch_size": 12, "augment": "none", "workers": 1, **sections.pop("train", {})},
        "eval": {"source_only": False, **sections.pop("eval", {})},
    }  # fmt: skip
    return {**values, **sections}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("studio.core.procedure.Job.figure", lambda *_: None)
    monkeypatch.setattr("adapters.align.deep.run.report._map", lambda *_: None)


def events_of(home: Home) -> list[dict]:
    lines = next(iter(home.root.rglob("events.jsonl"))).read_text().splitlines()
    return [json.loads(line) for line in lines]


CLOSED = [
    cls.id
    for cls in registry.methods("align")
    if issubclass(cls, Learner) and cls.setting == "closed" and not cls.needs_checkpoint
]


@pytest.mark.parametrize("method", CLOSED)
def test_a_closed_set_method_goes_the_whole_way_in_halves_as_a_gpu_has_it(method, folder, home, quick, monkeypatch):
    monkeypatch.setattr("studio.device.manager.DeviceManager.precision", lambda *_: "bf16")
    result = run(recipe(folder, method), home=home)
    assert result.status == "finished" and 0 <= result.metrics["target_accuracy"] <= 1
    model = load_checkpoint(result.checkpoint, home, device="cpu")
    x, _ = images_of(60, 2, seed=9)
    answers = model.predict([Image.fromarray(image).convert("RGB") for image in x])
    assert all(answer["label"] in "abc" and 0 < answer["score"] <= 1 for answer in answers)


def test_several_sources_are_told_apart_by_name(folder, home, quick, monkeypatch):
    seen = []
    monkeypatch.setattr(M3sda, "align", lambda self, source, target, at: seen.append(parts(source)) or {})
    source = f"npz:{folder}/source.npz,{folder}/partial.npz"
    assert run(recipe(folder, "align/m3sda", data={"source": source}), home=home).status == "finished"
    assert max(map(len, seen)) == 2


def test_a_batch_of_the_target_has_no_labels_and_depends_on_the_step_alone(folder):
    def split(name: str) -> Decoded:
        return Decoded(*decode(open_data(f"npz:{folder}/{name}.npz"), preprocess, margin=1.2))

    preprocess = Preprocess(16, squash=True)
    target = split("target")
    made = AligningBatches(
        (Source, Target), split("source"), target, preprocess, AlignTrain(batch_size=12), strong=True
    )
    batch, again = made.batch(7), made.batch(7)
    assert batch.target.names == ["images", "index", "strong"] and "labels" in batch.source
    assert torch.equal(batch.target.strong, again.target.strong) and torch.equal(
        batch.source.images, again.source.images
    )
    assert not torch.equal(batch.target.images, batch.target.strong)
    shown = torch.cat([made.batch(step).target.index for step in range(3)])
    assert sorted(shown.tolist()) == list(range(36))  # each image comes once before any comes again


def test_collapsed_epochs_are_never_the_best_and_are_warned_of(folder, home, quick, monkeypatch):
    monkeypatch.setattr("adapters.align.deep.run.judging.classes_predicted", lambda guesses, classes: 1.0)
    run(recipe(folder, "align/bnm"), home=home)
    warnings = [event["message"] for event in events_of(home) if event["kind"] == "warning"]
    assert any("fallen into few classes" in text for text in warnings)
    assert any("No epoch was good" in text for text in warnings)


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory) -> tuple[Home, str]:
    """A source-only checkpoint to go on from."""
    home = Home.find(tmp_path_factory.mktemp("home"))
    return home, run(recipe(folder, "align/source-only", train={"lr": 0.01, "epochs": 6}), home=home).checkpoint


@pytest.mark.parametrize("method", ["align/shot", "align/nrc", "align/tent", "align/bn-adapt", "align/eata"])
def test_a_method_without_source_goes_on_from_a_checkpoint(method, folder, trained, quick):
    home, start = trained
    values = recipe(folder, method, model={"checkpoint": start})
    values["data"].pop("source")
    values["eval"].pop("source_only")
    result = run(values, home=home)
    assert 0 <= result.metrics["target_accuracy"] <= 1 and result.metrics["source_only_accuracy"] is not None
    x, _ = images_of(60, 4, seed=9)
    answers = load_checkpoint(result.checkpoint, home, device="cpu").predict(
        [Image.fromarray(image).convert("RGB") for image in x]
    )
    assert len(answers) == 12 and all(answer["label"] in "abc" for answer in answers)


@pytest.mark.parametrize("method", ["align/pada", "align/iwan", "align/etn"])
def test_a_partial_method_takes_a_target_of_some_classes(method, folder, home, quick):
    assert run(recipe(folder, method, "partial"), home=home).status == "finished"


def test_an_open_set_is_scored_by_known_and_unknown(folder, home, quick):
    result = run(recipe(folder, "align/osbp", "open"), home=home)
    known, unknown = result.metrics["known_accuracy"], result.metrics["unknown_accuracy"]
    assert result.metrics["h_score"] == pytest.approx(2 * known * unknown / (known + unknown) if known + unknown else 0)
    assert load_checkpoint(result.checkpoint, home, device="cpu").classes == ["a", "b", "c", "unknown"]
    baseline = run(recipe(folder, "align/source-only", "open", eval={"unknown": 0.5}), home=home)
    assert 0 <= baseline.metrics["h_score"] <= 1


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"data": {"target": None}}, "data.target: nothing is named"),
        ({"data": {"target": "npz:{folder}/source.npz"}}, "one domain alone needs no alignment"),
        ({"data": {"source": "npz:{folder}/unlabelled.npz"}}, "no label"),
        ({"data": {"target": "npz:{folder}/open.npz"}}, "classes that the source has not: d"),
        ({"data": {"source": "npz:{folder}/partial.npz", "target": "npz:{folder}/open.npz"}}, "has not: c, d"),
        ({"train": {"batch_size": 64}}, "36 images, fewer than a batch of 64"),
        ({"data": {"test": "npz:{folder}/unlabelled.npz"}}, "no labels to score by"),
        ({"data": {"target": "npz:{folder}/unlabelled.npz"}, "eval": {"selection": "oracle"}}, "oracle chooses by"),
    ],
)
def test_bad_input_is_refused_in_a_sentence_before_anything_is_trained(sections, words, folder, home, monkeypatch):
    monkeypatch.setattr("adapters.align.deep.run.training.train", lambda *_: pytest.fail("trained"))
    sections = json.loads(json.dumps(sections).replace("{folder}", str(folder)))
    with pytest.raises(UsageError, match=words):
        run(recipe(folder, "align/dann", **sections), home=home)


def test_a_universal_setting_is_refused(folder, home):
    np.savez(folder / "universal.npz", x=images_of(60, 12)[0], y=np.array(list("abd") * 12))
    with pytest.raises(UsageError, match="universal setting"):
        run(recipe(folder, "align/osbp", "universal"), home=home)


@pytest.mark.parametrize(
    ("method", "eval_", "words"),
    [
        ("align/shot", {}, "model.checkpoint: align/shot starts from a trained classifier"),
        ("align/tca", {"score": "snd"}, "eval.score: snd is not for align/tca"),
    ],
)
def test_keys_that_do_not_go_together_are_refused_when_the_recipe_is_read(method, eval_, words):
    with pytest.raises(UsageError, match=words):
        recipes.parse({"task": "align", "method": method, "data": {"target": "folder:a"}, "eval": eval_})


def steps_of(filed) -> list[int]:
    """The steps of the training that aligns, after that of source only."""
    return [event["step"] for event in filed.events() if event.get("name") == "train/classify"]


def test_a_resumed_run_ends_as_one_that_was_never_stopped(folder, tmp_path, quick, asked_at_every_step):
    whole = recipe(folder, "align/cdan", train={"epochs": 3, "checkpoint_every_s": 0}, eval={"source_only": True})
    homes = [Home.find(tmp_path / name) for name in ("once", "twice")]
    once = run(whole, home=homes[0])
    filed = submit(recipes.parse(whole), Store(homes[1]))
    stopped = run_inline(filed, homes[1], should_stop=lambda: len(steps_of(filed)) >= 4)
    assert stopped.status == "stopped"
    twice = run_inline(filed, homes[1], resume=True)
    assert len(steps_of(filed)) == 9
    assert once.metrics["label_free_score"] == twice.metrics["label_free_score"]
    tensors = [Store(home).checkpoint(end.checkpoint).tensors() for home, end in zip(homes, (once, twice), strict=True)]
    assert all(torch.equal(tensor, tensors[1][key]) for key, tensor in tensors[0].items())


@pytest.mark.parametrize("fallback", ["none", "source-only"])
def test_source_only_is_kept_where_the_label_free_score_prefers_it_and_that_was_asked_for(
    folder, quick, tmp_path, monkeypatch, fallback
):
    scores = iter([0.1, 0.9])  # the method's, then source only's
    monkeypatch.setattr("adapters.align.deep.run.judging.Judge.label_free", lambda _: next(scores))
    home = Home.find(tmp_path)
    asked = {"source_only": True, "fallback": fallback}
    result = run(recipe(folder, "align/mcc", train={"epochs": 1}, eval=asked), home=home)
    kept = fallback == "source-only"
    assert result.metrics["kept"] == ("source only" if kept else "method")
    assert result.metrics["kept_accuracy"] == result.metrics["source_only_accuracy" if kept else "target_accuracy"]
    assert result.metrics["source_only_label_free_score"] == 0.9
    manifest = Store(home).checkpoint(result.checkpoint).manifest
    assert manifest.method == ("align/source-only" if kept else "align/mcc")
    assert manifest.metrics["target_accuracy"] == result.metrics["kept_accuracy"]
    assert "Negative transfer is likely" in " ".join(e["message"] for e in events_of(home) if e["kind"] == "warning")


def test_a_fallback_on_a_network_that_is_not_trained_is_refused(folder):
    with pytest.raises(UsageError, match=r"eval.fallback.*eval.source_only"):
        recipes.parse(recipe(folder, "align/mcc", eval={"source_only": False, "fallback": "source-only"}))


def test_a_trained_classifier_adapts_while_it_predicts_where_that_is_asked_for(folder, trained):
    home, start = trained
    images = [Image.fromarray(image).convert("RGB") for image in images_of(110, 8, seed=5)[0]]
    plain = load_checkpoint(start, home, device="cpu")
    few = load_checkpoint(start, home, device="cpu", look={"adapt": "tent"})
    assert few.predict(images[:3]) == plain.predict(images[:3]) and "too few to adapt to" in few.predictor.note
    model = load_checkpoint(start, home, device="cpu", look={"adapt": "tent"})
    assert [answer["score"] for answer in model.predict(images)] != [a["score"] for a in plain.predict(images)]
    assert "adapted to 24 images" in model.predictor.note and not plain.predictor.note
    again = load_checkpoint(start, home, device="cpu", look={"adapt": "tent"})  # anew, whatever was seen before
    assert again.predict(images[:8]) == load_checkpoint(start, home, "cpu", {"adapt": "tent"}).predict(images[:8])


def test_the_ways_to_adapt_are_those_that_predict_and_the_tool_for_films_offer(trained):
    home, start = trained
    assert sorted(get_args(AdaptToFilm.Inputs.model_fields["by"].annotation)) == sorted(online_methods())
    manifest = Store(home).checkpoint(start).manifest
    assert AdaptToFilm().fits(manifest) and not AdaptToFilm().fits(manifest.model_copy(update={"classes": []}))
    with pytest.raises(UsageError, match="adapt: found 'tend'.*tent"):
        load_checkpoint(start, home, device="cpu", look={"adapt": "tend"})


def test_a_folder_is_adapted_to_beside_the_classifier_as_it_is(folder, trained):
    home, start = trained
    bench = Bench(lambda name, look=None: load_checkpoint(name, home, "cpu", look), None, home)
    plain = bench.model(start).predict([Image.fromarray(x).convert("RGB") for x in images_of(60, 12)[0]])
    told = AdaptToFolder().run(start, AdaptToFolder.Inputs(data=f"npz:{folder}/unlabelled.npz", by="bn-adapt"), bench)
    assert [row["without"] for row in told.rows] == [answer["label"] for answer in plain]
    changed = sum(row["label"] != row["without"] for row in told.rows)
    assert told.facts == {"images": 36, "changed": changed, "unreadable": 0}
    assert [row["score"] for row in told.rows] != [answer["score"] for answer in plain]


@pytest.mark.parametrize("method", ["align/dsbn", "align/transnorm", "align/self-ensembling", "align/mcd"])
def test_a_first_head_learns_the_source_while_the_backbone_stands_still(method, folder):
    preprocess = Preprocess(16, squash=True)
    source = Decoded(*decode(open_data(f"npz:{folder}/source.npz"), preprocess))
    cls = registry.get(method)
    learner = cls(cls.Params(bottleneck=16))
    learner.setup(LearnerContext(registry.backbone(BACKBONE), ["a", "b", "c"]))
    before = {name: weight.clone() for name, weight in learner.module.backbone.named_parameters()}
    job = SimpleNamespace(recipe=Recipe(train={"batch_size": 16}), device="cpu")
    teach_head(job, learner, source, preprocess, epochs=60)
    assert all(torch.equal(weight, before[name]) for name, weight in learner.module.backbone.named_parameters())
    learner.train_mode(False)
    images = normalize(torch.from_numpy(source.pixels), preprocess)
    assert (learner.predict(images).argmax(dim=1).numpy() == source.dataset.labels).mean() > 0.9


@pytest.mark.parametrize(("backbone_lr", "follows"), [(1.0, True), (0.1, False)])
def test_the_teacher_of_self_ensembling_has_the_statistics_of_the_target(backbone_lr, follows):
    cls = registry.get("align/self-ensembling")
    learner = cls(cls.Params(bottleneck=16, backbone_lr=backbone_lr))
    learner.setup(LearnerContext(registry.backbone(BACKBONE), ["a", "b", "c"]))
    images = torch.randn(12, 3, 16, 16) + 3.0
    first = batch_norms(learner.module.aids["teacher"]["backbone"])[0]
    before = first.running_mean.clone()
    learner.train_mode(True)
    source = Batch(images=images - 6.0, labels=torch.arange(12) % 3)
    learner.losses(StreamBatches(source=source, target=Batch(images=images, strong=images)), Step(0, 1))
    convolved = next(m for m in learner.module.backbone.modules() if isinstance(m, torch.nn.Conv2d))(images)
    expected = before.lerp(convolved.mean((0, 2, 3)), 0.1) if follows else before
    assert torch.allclose(first.running_mean, expected, atol=1e-5)
    learner.train_mode(False)
    assert not first.training


def test_the_lab_runs_on_office_31_as_it_comes_unpacked(home, tmp_path):
    for domain, shift in (("amazon", 0), ("dslr", 30), ("webcam", 60)):
        for number, (image, label) in enumerate(zip(*images_of(shift, 12), strict=True)):
            path = tmp_path / "office31" / domain / "images" / ["bike", "mug", "pen"][label] / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).convert("RGB").save(path)
    data = {
        f"data.{key}": f"office31:{tmp_path}/office31?domain={name}"
        for key, name in (("source", "amazon"), ("target", "webcam"))
    }
    small = {"model.backbone": BACKBONE, "train.epochs": 1, "train.batch_size": 12, "device": "cpu"}
    result = run("office31-dann", {**data, **small}, home=home)
    assert result.status == "finished" and result.metrics["source_only_accuracy"] is not None
    assert list(home.root.rglob("figures/before-and-after.png"))
    assert any("GB of the device" in event["message"] for event in events_of(home) if event["kind"] == "note")


def test_a_film_of_the_map_has_source_only_and_each_epoch_in_turn(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("adapters.align.deep.run.report._map", lambda *_: Figure())
    monkeypatch.setattr("studio.figures.maps._tsne", lambda features, seed, start: features[:, :2])
    home = Home.find(tmp_path)
    wanted = recipe(folder, "align/bnm", train={"epochs": 3}, eval={"source_only": True, "film": True})
    place = submit(recipes.parse(wanted), Store(home))
    result = run_inline(place, home)
    assert result.status == "finished"
    with Image.open(place.path / "figures" / "film-of-maps.png") as film:
        assert film.n_frames == 4
    assert len(list((place.path / "state" / "maps").glob("*.npy"))) == 3
