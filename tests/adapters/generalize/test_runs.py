"""Every method from recipe to predictions; selection rules; a stopped run goes on; what is refused, and how."""

import numpy as np
import pytest
import torch
from PIL import Image

from studio.api import load_checkpoint, run
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import StudioError, UsageError
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store

METHODS = [
    "erm", "mixup", "coral", "mmd", "dann", "irm", "vrex", "groupdro", "mldg", "rsc", "mixstyle", "ibn", "swad", "ema",
]  # fmt: skip
GLYPHS = "builtin:glyphs?domain={}&classes=2&per_class=8&size=16"
SOURCES = ",".join(GLYPHS.format(font) for font in ("sans", "serif", "mono"))
UNSEEN = GLYPHS.format("stix")


def recipe(method: str = "erm", **changes) -> dict:
    """A recipe as plain data; changes such as train__epochs=3."""
    values = {
        "task": "generalize",
        "method": f"generalize/{method}",
        "model": {"backbone": "studio/conv4?width=4", "image_size": 16},
        "data": {"sources": SOURCES, "test": UNSEEN},
        "params": {"freeze_statistics": False, "backbone_lr": 1.0},
        "train": {"epochs": 1, "batch_size": 12, "augment": "none", "lr": 0.01, "workers": 1},
        "eval": {},
        "device": "cpu",
    }
    for key, value in changes.items():
        section, name = key.split("__")
        values[section][name] = value
    return values


def tables(folder) -> dict[str, list]:
    return {event["name"]: event["rows"] for event in folder.events() if event["kind"] == "table"}


def losses(folder) -> dict:
    scalars = [event for event in folder.events() if event["kind"] == "scalar" and "train/" in event["name"]]
    return {(event["name"], event["step"]): event["value"] for event in scalars}


def image_folder(path, classes: dict[str, int]):
    """Grey squares, another shade in each file, in class folders."""
    for place, (name, count) in enumerate(classes.items()):
        (path / name).mkdir(parents=True)
        for number in range(count):
            shade = (len(str(path)) * 7 + place * 90 + number) % 256
            Image.fromarray(np.full((16, 16), shade, np.uint8)).save(path / name / f"{path.name}{number}.png")
    return f"folder:{path}"


def test_every_method_is_tried_here():
    assert sorted(f"generalize/{name}" for name in METHODS) == [
        cls.id for cls in registry.methods("generalize") if cls.face == "Learner"
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_runs_and_its_checkpoint_answers_as_a_classifier_does(home, method):
    result = run(recipe(method), home=home)
    folder = Store(home).run(result.run)
    rows = {row[0]: row[1:] for row in tables(folder)["domains"]}
    assert {name: row[0] for name, row in rows.items()} == {
        "sans": "source", "serif": "source", "mono": "source", "stix": "unseen",
    }  # fmt: skip
    assert result.metrics["accuracy"] == pytest.approx(rows["stix"][2], abs=1e-4)
    assert "training-domain" in result.metrics["selection"] and "16 images of the unseen" in result.metrics["scored_on"]
    images = [Image.new("RGB", (20, 20), shade) for shade in ("black", "white")]
    answers = load_checkpoint(result.checkpoint, home, "cpu").predictor.answers(images)
    assert all(answer.to_dict()["label"] in ("0", "1") for answer in answers)


@pytest.mark.parametrize("method", ["groupdro", "swad", "ema", "mldg"])
@pytest.mark.usefixtures("asked_at_every_step")
def test_a_stopped_run_goes_on_to_the_same_weights(home, method):
    made = recipes.parse(recipe(method, train__epochs=4, train__patience=None))
    whole, broken = (submit(made, Store(home)) for _ in range(2))
    assert run_inline(whole, home).status == "finished"
    assert run_inline(broken, home, should_stop=lambda: len(losses(broken)) >= 4).status == "stopped"
    assert run_inline(broken, home, resume=True).status == "finished"
    assert losses(broken) == losses(whole)
    one, two = (Store(home).checkpoint(folder.checkpoint()).tensors() for folder in (whole, broken))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.usefixtures("asked_at_every_step")
def test_leave_one_domain_out_takes_the_epoch_that_is_best_where_it_was_not_learned(home):
    made = recipes.parse(recipe(train__epochs=3, eval__selection="leave-one-domain-out"))
    whole, broken = (submit(made, Store(home)) for _ in range(2))
    assert run_inline(whole, home).status == "finished"
    rows = tables(whole)["leaving one source out"]
    means = {row[0]: row[-1] for row in rows}
    assert means[whole.metrics()["best_epoch"]] == max(means.values())
    assert whole.metrics()["selection"] == "leave-one-domain-out"
    trainings = {name.split("/")[0] for name, _ in losses(whole)}
    assert trainings == {"without sans", "without serif", "without mono", "train"}
    assert run_inline(broken, home, should_stop=lambda: len(losses(broken)) >= 10).status == "stopped"
    assert run_inline(broken, home, resume=True).status == "finished"
    assert losses(broken) == losses(whole) and tables(broken)["leaving one source out"] == rows


def test_the_head_learns_the_sources_before_a_trained_backbone_moves(home):
    params = registry.get("generalize/erm").Params
    still = {"model__backbone": "studio/conv4?width=32", "params__freeze_statistics": True, "train__lr": 1e-9}
    assert params().first_epochs == 30 and params(backbone_lr=1.0).first_epochs == 0
    taught, untaught = (
        Store(home).run(run(recipe(params__head_epochs=epochs, **still), home=home).run) for epochs in (300, 0)
    )
    first_losses = [losses(folder)["train/classify", 0] for folder in (taught, untaught)]
    assert first_losses[0] < 0.65 < first_losses[1]  # log 2 is that of a guess
    before, after = (Store(home).checkpoint(folder.checkpoint()).tensors() for folder in (untaught, taught))
    moved = [name for name in before if not torch.allclose(before[name], after[name], atol=1e-6)]
    assert sorted(moved) == ["head.bias", "head.weight"]


@pytest.mark.draws
def test_a_run_draws_the_confusion_on_the_unseen_domain_and_a_map_of_all_domains(home):
    folder = Store(home).run(run(recipe(), home=home).run)
    paths = {event["name"]: folder.path / event["path"] for event in folder.events() if event["kind"] == "figure"}
    assert all(Image.open(paths[name]).size[0] > 200 for name in ("confusion", "domains", "curves"))


def test_the_oracle_looks_at_the_unseen_domain_and_says_so(home):
    result = run(recipe(train__epochs=3, eval__selection="oracle"), home=home)
    curve = [e["value"] for e in Store(home).run(result.run).events() if e.get("name") == "val/accuracy"]
    assert result.metrics["accuracy"] == max(curve)
    assert result.metrics["selection"] == "oracle (labels of the unseen domain)"


def test_without_a_target_the_held_out_images_of_the_sources_are_scored(home):
    result = run(recipe(data__test=None), home=home)
    assert result.metrics["scored_on"] == "held-out images of the sources"
    assert sorted(result.metrics["accuracy_by_domain"]) == ["mono", "sans", "serif"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"eval__selection": "oracle", "data__test": None}, "labels of data.test, which names nothing"),
        ({"eval__selection": "source-val"}, "eval.selection"),
        ({"data__source": "folder:a"}, "data.source: unknown key here; it is for task"),
    ],
)
def test_keys_that_do_not_go_together_are_refused_when_a_recipe_is_read(changes, words):
    with pytest.raises(UsageError, match=words):
        recipes.parse(recipe(**changes))
    with pytest.raises(UsageError, match="chooses its weights itself"):
        recipes.parse(recipe("swad", eval__selection="leave-one-domain-out"))


@pytest.mark.parametrize(
    ("domains", "changes", "words"),
    [
        ([{"a": 5, "b": 5}], {}, "found one domain .*expected at least two"),
        ([{"a": 5, "b": 5}, {"a": 5}], {}, "the classes disagree"),
        ([{"a": 5, "b": 5}, {"c": 5, "d": 5}], {}, "the classes disagree, none is in every source"),
        ([{"a": 5, "b": 5, "c": 5}, {"a": 5, "b": 5}], {}, "look1 has no image of c, which other sources have"),
        ([{"a": 9, "b": 9}, {"a": 2, "b": 2}], {"train__batch_size": 16}, "look1 has 2 images .*a step takes 8"),
        ([{"a": 5, "b": 5}, {"a": 5, "b": 5}], {"train__batch_size": 3}, "3 images a step are 1 .*at least 4"),
        (
            [{"a": 5, "b": 5}, {"a": 5, "b": 5}],
            {"eval__selection": "leave-one-domain-out", "train__batch_size": 4},
            "trains without each of 2 sources; expected at least three",
        ),
    ],
)  # fmt: skip
def test_sources_that_do_not_fit_are_refused_before_training(home, tmp_path, domains, changes, words):
    specs = [image_folder(tmp_path / f"look{place}", classes) for place, classes in enumerate(domains)]
    with pytest.raises(StudioError, match=words):
        run(recipe(data__sources=",".join(specs), data__test=None, **changes), home=home)


def test_sources_without_labels_and_targets_of_other_classes_are_refused(home, tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(6, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "bare.npz", x=pixels)
    np.savez(tmp_path / "taught.npz", x=pixels, y=np.arange(6) % 2)
    both = f"npz:{tmp_path / 'taught.npz'},npz:{tmp_path / 'bare.npz'}"
    with pytest.raises(StudioError, match="bare: 6 of 6 images have no label"):
        run(recipe(data__sources=both, data__test=None), home=home)
    with pytest.raises(StudioError, match="classes that .* not: z"):
        run(recipe(data__test=image_folder(tmp_path / "other", {"0": 2, "z": 2})), home=home)
    with pytest.raises(StudioError, match="bare.npz.* no labels|found 0 classes"):
        run(recipe(data__test=f"npz:{tmp_path / 'bare.npz'}"), home=home)


def test_images_of_the_sources_among_the_target_are_told(home):
    result = run(recipe(data__test=GLYPHS.format("sans")), home=home)
    notes = [event["message"] for event in Store(home).run(result.run).events() if event["kind"] == "note"]
    assert any("16 of the 16 images of data.test are in the sources too" in note for note in notes)
