"""A run across domains from every door: judged without target masks, source-only kept where adapting hurts."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from inline_runs import work
from PIL import Image
from small_networks import SIZE, TINY

from adapters.segment.domains.memory import memory_gb
from adapters.segment.domains.run.judging import Judge, Splits, restyled
from adapters.segment.domains.run.online import PixelStream
from adapters.segment.run.views import Look
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.home import Home
from studio.data import open_data
from studio.data.preprocess import Preprocess
from studio.runs.executors import run_inline
from studio.runs.predict import load_checkpoint
from studio.runs.runner import submit
from studio.store import Store

SCENES = f"builtin:scenes?size={SIZE}&classes=2&truth=masks"
RUN = {
    "task": "segment",
    "method": "segment/mean-teacher",
    "model": {"image_size": SIZE, "backbone": TINY},
    "data": {
        "source": f"{SCENES}&images=8",
        "target": f"{SCENES}&images=5&look=night&seed=1",
        "test": f"{SCENES}&images=3&look=night&seed=2",
    },
    "params": {"network_params": {"width": 16}},
    "train": {"epochs": 1, "batch_size": 3},
    "device": "cpu",
}

PLAIN = {**RUN, "method": "segment/fcn", "params": {}, "data": {"train": SCENES}}


def changed(**sections) -> dict:
    return {**RUN, **{name: {**RUN.get(name, {}), **values} for name, values in sections.items()}}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    home = Home.find(tmp_path_factory.mktemp("domains") / "home")
    run, result = work(RUN, home)
    assert result.status == "finished", result.error
    return run, result, home


def test_a_run_says_what_adapting_changed_and_by_which_rule(done):
    run, result, _ = done
    metrics = result.metrics
    assert metrics["selection"] == "label-free: restyled-spread" and metrics["scored_on"] == "test"
    assert {"miou", "source_only_miou", "convention", "source_miou", "label_free_score", "kept"} <= metrics.keys()
    events = run.events()
    assert {"gains", "before-and-after", "masks", "curves"} <= {e["name"] for e in events if e["kind"] == "figure"}
    (table,) = (e for e in events if e["kind"] == "table" and e["name"] == "source only and adapted")
    for _, before, after, gain in table["rows"]:
        assert gain == pytest.approx(after - before, abs=2e-4)
    scalars = {e["name"] for e in events if e["kind"] == "scalar"}
    assert {"source-only/train/cross-entropy", "train/target", "val/restyled", "val/target_miou"} <= scalars


def test_its_checkpoint_draws_masks_and_goes_on_in_another_method(done):
    _, result, home = done
    image = Image.fromarray(open_data("builtin:scenes?images=1&size=80").items[0].source.read())
    (row,) = load_checkpoint(result.checkpoint, home).predict([image])
    assert (row["width"], row["height"]) == (80, 80)
    values = {
        **changed(model={"checkpoint": result.checkpoint}),
        "method": "segment/advent",
        "params": {**RUN["params"], "width": 4},
    }
    _, second = work(values, home)
    assert second.status == "finished", second.error
    assert second.metrics["source_only_miou"] == pytest.approx(result.metrics["miou"], abs=1e-6)


def test_two_resolutions_go_on_from_a_network_of_one(done):
    _, result, home = done
    values = {**changed(model={"checkpoint": result.checkpoint}, train={"max_steps": 1}), "method": "segment/hrda"}
    _, second = work(values, home)
    assert second.status == "finished", second.error
    assert second.metrics["source_only_label_free_score"] > 0


def test_source_only_is_kept_where_adapting_hurts(done):
    """Weights that a step leaves useless are taken for no gain, though the network is surer of the target then."""
    _, result, kept_in = done
    ruinous = {"network_params": {"width": 16}, "decay": 0.0}
    values = changed(params=ruinous, train={"lr": 0.3}, model={"checkpoint": result.checkpoint})
    run, ruined = work(values, kept_in)
    assert ruined.status == "finished", ruined.error
    assert ruined.metrics["best_epoch"] == 0 and ruined.metrics["kept"] == "source only"
    assert ruined.metrics["miou"] == pytest.approx(ruined.metrics["source_only_miou"])
    assert any("the source-only network is kept" in e["message"] for e in run.events() if e["kind"] == "note")


def test_without_target_masks_the_source_is_scored_and_oracle_is_refused(home, tmp_path):
    for number, item in enumerate(open_data(f"builtin:scenes?images=4&size={SIZE}&look=night").items):
        Image.fromarray(item.source.read()).save(tmp_path / f"{number}.png")
    data = {"source": RUN["data"]["source"], "target": f"images:{tmp_path}"}
    values = {**RUN, "data": data, "train": {**RUN["train"], "source_epochs": 0}}
    _, result = work(values, home)
    assert result.status == "finished", result.error
    assert result.metrics["scored_on"] == "val" and "source_only_miou" not in result.metrics
    _, refused = work({**values, "eval": {"selection": "oracle"}}, home)
    assert refused.status == "failed" and "the target has none" in refused.error


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"target": f"{SCENES}&images=2&look=night"}, "fewer than a batch of 3"),
        ({"test": f"{SCENES.replace('classes=2', 'classes=3')}&images=3"}, "which the source has not"),
        ({"target": None}, "data.target: nothing is named"),
        ({"source": None}, "data.source: nothing is named"),
        ({"source": f"builtin:scenes?size={SIZE}&images=8"}, "data.source: .*has no masks"),
    ],
)
def test_domains_that_do_not_fit_are_said(home, data, message):
    _, result = work(changed(data=data), home)
    assert result.status == "failed"
    with pytest.raises(UsageError, match=message):
        raise UsageError(result.error)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed(data={"train": SCENES}), "leave data.train out"),
        (changed(data={"target": RUN["data"]["source"]}), "is the source too"),
        ({**PLAIN, "data": RUN["data"]}, "adapts to nothing"),
        ({**RUN, "method": "segment/tent"}, "model.checkpoint"),
        (changed(params={"network": "segment/advent"}), "no network that can be adapted"),
        ({**PLAIN, "eval": {"selection": "label-free"}}, "label-free"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_when_a_recipe_is_read(values, message):
    with pytest.raises(UsageError, match=message):
        recipes.parse(values)


def test_images_in_the_target_s_colours_keep_their_masks(done):
    from small_networks import scenes

    split = scenes(2)
    dark = [image // 4 for image in split.images]
    moved = restyled(split, dark, 0)
    assert moved.maps is split.maps
    for image in moved.images:
        means = [abs(image.mean((1, 2)) - other.mean((1, 2))).max() for other in dark]
        assert min(means) < 2


class OneClass:
    """A network that says one class of every pixel, or two halves."""

    any_size, module, starts_solved = True, None, False

    def __init__(self, classes: int, shown: int) -> None:
        self.classes, self.shown = classes, shown

    def train_mode(self, training: bool) -> None:
        pass

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        columns = torch.arange(images.shape[-1]) * self.shown // images.shape[-1]
        said = torch.nn.functional.one_hot(columns, self.classes).T[None, :, None] * 20.0
        return said.expand(len(images), -1, images.shape[-2], -1)


def judge_of(learner: OneClass, test, **settings) -> tuple[Judge, list[str]]:
    """The judge of a run that is not run, and what it warns of."""
    from small_networks import scenes

    warnings: list[str] = []
    recipe = recipes.parse(changed(eval=settings))
    job = SimpleNamespace(recipe=recipe, device="cpu", events=SimpleNamespace(warning=warnings.append))
    split = scenes(3)
    splits = Splits(split, [image // 3 for image in split.images], split if test else None, 2.0)
    return Judge(job, learner, Preprocess(SIZE), Look(SIZE), splits), warnings


def test_an_epoch_whose_target_has_fallen_into_one_class_is_never_kept():
    judge, warnings = judge_of(OneClass(3, 1), None)
    numbers = judge.evaluate()
    assert numbers["score"] == -np.inf and numbers["target_classes"] == pytest.approx(1)
    assert "have fallen into few classes" in warnings[0] and judge.evaluate()["score"] == -np.inf and len(warnings) == 1
    learner = OneClass(3, 1)
    learner.starts_solved = True
    assert np.isfinite(judge_of(learner, None)[0].evaluate()["score"])  # source only stays a candidate
    judge, warnings = judge_of(OneClass(3, 2), None)
    assert np.isfinite(judge.evaluate()["score"]) and not warnings


def test_scores_are_those_of_the_pixels_and_no_target_mask_moves_them():
    seen = {test: judge_of(OneClass(3, 2), test)[0].evaluate() for test in (False, True)}
    assert "target_miou" not in seen[False] and seen[True].pop("target_miou") >= 0
    assert seen[False] == seen[True]
    numbers = seen[False]
    assert numbers["entropy"] == pytest.approx(0, abs=1e-5)
    assert numbers["score"] == numbers["restyled-spread"] == pytest.approx(2 * numbers["restyled"])
    assert numbers["diversity"] == pytest.approx(np.log(2), abs=1e-4)
    by_masks = judge_of(OneClass(3, 2), True, selection="oracle")[0]
    assert by_masks.evaluate()["score"] == by_masks.evaluate()["target_miou"] and "oracle" in by_masks.words


@pytest.mark.parametrize(("score", "kept"), [("diversity", False), ("restyled", True), ("restyled-spread", True)])
def test_a_sure_network_is_kept_only_where_it_is_no_worse_on_restyled_images(score, kept):
    learner = OneClass(3, 2)
    learner.starts_solved = True
    judge, warnings = judge_of(learner, None, score=score)
    assert np.isfinite(judge.evaluate()["score"])
    judge.before = {**judge.before, "restyled": judge.before["restyled"] / 0.8}
    assert np.isfinite(judge.evaluate()["score"]) == kept and not warnings
    judge.before = {"restyled": 0.0, "target_classes": 2 / 0.89}
    assert np.isfinite(judge.evaluate()["score"]) == kept


def test_a_resumed_run_ends_as_one_that_was_never_stopped(tmp_path):
    whole = changed(train={"epochs": 2, "source_epochs": 1, "checkpoint_every_s": 0})
    homes = [Home.find(tmp_path / name) for name in ("once", "twice")]
    _, once = work(whole, homes[0])
    filed = submit(recipes.parse(whole), Store(homes[1]))

    def steps() -> int:
        return sum(event.get("name") == "train/target" for event in filed.events())

    assert run_inline(filed, homes[1], should_stop=lambda: steps() >= 1).status == "stopped"
    twice = run_inline(filed, homes[1], resume=True)
    assert twice.status == "finished" and steps() == 4
    names = ("label_free_score", "source_only_label_free_score", "source_only_miou", "miou")
    assert [once.metrics[name] for name in names] == [twice.metrics[name] for name in names]
    tensors = [Store(home).checkpoint(end.checkpoint).tensors() for home, end in zip(homes, (once, twice), strict=True)]
    assert all(torch.equal(tensor, tensors[1][key]) for key, tensor in tensors[0].items())


def test_memory_is_asked_for_by_the_images_of_a_step():
    assert memory_gb(recipes.load("gta5-cityscapes")) == pytest.approx(9.7)
    assert memory_gb(recipes.load("camvid-day-to-dusk")) < 5
    small, large = (recipes.parse(changed(model={"image_size": side})) for side in (64, 512))
    assert 2 < memory_gb(small) < memory_gb(large)
    single = recipes.parse(changed(model={"image_size": 512}, train={"micro_batch": 1}))
    assert memory_gb(single) - memory_gb(small) < (memory_gb(large) - memory_gb(small)) / 2


def test_masks_adapt_while_they_are_predicted(done):
    _, result, home = done
    values = {
        **RUN, "method": "segment/tent", "params": {}, "data": {"target": RUN["data"]["test"]},
        "model": {"checkpoint": result.checkpoint, "image_size": SIZE}, "train": {"batch_size": 1, "lr": 0.01},
    }  # fmt: skip
    run, online = work(values, home)
    assert online.status == "finished", online.error
    assert online.metrics["selection"] == "none (online)" and "source_only_miou" in online.metrics
    model = load_checkpoint(online.checkpoint, home)
    image = Image.fromarray(open_data("builtin:scenes?images=1&size=80&look=night").items[0].source.read())
    first, second = model.predict([image])[0], model.predict([image])[0]
    assert first != second and first["width"] == 80


@pytest.mark.parametrize("reset", [0.0, 0.9])
def test_masks_that_fall_into_one_class_send_the_network_back(reset):
    cls = registry.get("segment/tent")
    learner = cls(cls.Params(reset=reset, prior=0.0, network_params={"width": 8}))
    learner.setup(LearnerContext(registry.backbone(TINY, image_size=32), list("abcd"), 0, 32, training=False))
    with torch.no_grad():
        learner.network.module.head.classifier.weight.mul_(100)
    stream = PixelStream(learner, 0.3)
    draw = np.random.default_rng(0)
    images = torch.from_numpy(draw.integers(0, 255, (25, 1, 3, 32, 32), dtype=np.uint8))
    for image in images:
        stream.probabilities(image, Preprocess(32))
    assert (stream.resets > 0) == (reset > 0)
