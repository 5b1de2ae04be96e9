"""Translators in the one loop: whose weights move, resuming, what is remembered, memory, mode collapse."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from inline_runs import work
from PIL import Image
from small_translations import SIZE, SMALL, TINY, UNPAIRED, changed
from torch.nn.functional import interpolate

from adapters.translate.base import Made
from adapters.translate.data.batches import LookBatches, PairBatches
from adapters.translate.data.decoded import Looks
from adapters.translate.memory import memory_gb
from adapters.translate.run.collapse import CollapseWatch
from adapters.translate.run.predictor import ImageTranslator
from adapters.translate.run.views import View
from adapters.translate.task import TranslateTrain
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import StoppedByUser, UsageError
from studio.core.events import EventWriter
from studio.core.faces import LearnerContext
from studio.core.home import Home
from studio.core.procedure import Job
from studio.core.streams import Batch, Step, StreamBatches
from studio.engine.loop import Loop
from studio.runs.predict import load_checkpoint

UNPAIRED_METHODS = ["translate/cyclegan", "translate/cut", "translate/fastcut", "translate/munit"]
METHODS = ["translate/pix2pix", *UNPAIRED_METHODS]
NARROW = {"width": 4, "discriminator_width": 4, "layers": 1}


def looks(pairs: bool = False) -> Looks:
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 256, (3, SIZE, SIZE + 7 * row), dtype=np.uint8) for row in range(5)]
    return Looks(images, None, [255 - image for image in images] if pairs else [])


def made(method: str, **params):
    cls = registry.get(method)
    params = {**NARROW, "generator": "resnet", **params}
    if "pool" in cls.Params.model_fields:
        params.setdefault("pool", 3)
    learner = cls(cls.Params(**params))
    learner.setup(LearnerContext(None, [], 0, SIZE))
    return learner


def loop_of(learner, folder, resume=False, stop_after=None, **train):
    folder.mkdir(parents=True, exist_ok=True)
    paired = learner.paired
    data = {"train": "pairs:x?a=a&b=b"} if paired else {"source": "images:x", "target": "images:y"}
    train = {"epochs": 2, "batch_size": 2, "checkpoint_every_s": 0, **train}
    recipe = recipes.parse({"task": "translate", "method": learner.id, "data": data, "train": train})
    batches = (PairBatches if paired else LookBatches)(
        *([looks(pairs=True)] if paired else [looks(), looks()]), SIZE, recipe.train
    )
    job = Job(
        recipe, learner, Home.find(folder / "home"), None, EventWriter(folder / "events.jsonl"), folder, "toy", "cpu",
        "fp32", resume=resume, should_stop=lambda: learner.stands.step == stop_after,
    )  # fmt: skip
    return Loop(learner, batches, recipe.train, job, lambda: {"score": 0.0})


@pytest.mark.parametrize("method", METHODS)
def test_stopped_and_resumed_it_is_bit_for_bit_what_it_would_have_been(tmp_path, method):
    params = {"r1": 0.5, "spectral": True, "diff_augment": "color+translation+cutout"}
    whole = made(method, **params)
    one = loop_of(whole, tmp_path / "whole", ema=0.9)
    one.run()
    with pytest.raises(StoppedByUser):
        loop_of(made(method, **params), tmp_path / "cut", ema=0.9, stop_after=2).run()
    resumed = made(method, **params)
    with torch.no_grad():
        for tensor in resumed.module.state_dict().values():
            tensor.zero_()  # all it knows is in the state
    two = loop_of(resumed, tmp_path / "cut", ema=0.9, resume=True)
    two.run()
    state = resumed.module.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in whole.module.state_dict().items())
    assert all(torch.equal(tensor, two.average.tensors[name]) for name, tensor in one.average.tensors.items())
    assert ("pool.count" in state) == (method == "translate/cyclegan")
    assert int(state.get("pool.count", 3)) == 3


@pytest.mark.parametrize("method", METHODS)
def test_each_phase_moves_its_own_side_alone(tmp_path, method):
    learner = made(method)
    loop, before = loop_of(learner, tmp_path), {}
    learner.train_mode(True)

    def copy() -> None:
        before.update({name: tensor.clone() for name, tensor in learner.module.named_parameters()})

    def moved() -> set[str]:
        return {
            name.partition(".")[0]
            for name, tensor in learner.module.named_parameters()
            if not torch.equal(tensor, before[name])
        }

    drawn = loop.batches.batch(0)
    rows = [2] if learner.paired else [2, 2]
    for phase, side in zip(loop.phases, (learner.generating, learner.discriminating), strict=True):
        copy()
        loop._phase(phase, 0, Step(0, 9), drawn, rows, loop._move)
        assert moved() == set(side)


@pytest.mark.parametrize("method", METHODS)
def test_the_generator_learns_what_it_is_asked(method):
    """Without a contest, what is left of the losses falls."""
    weightless = {"adversary": 0.0} if method == "translate/pix2pix" else {}
    learner = made(method, **weightless)
    learner.train_mode(True)
    torch.manual_seed(0)
    shapes = interpolate(torch.rand(2, 3, 3, 3), SIZE, mode="bilinear") * 2 - 1
    batch = Batch(images=shapes, targets=-shapes)
    if not learner.paired:
        batch = StreamBatches(source=Batch(images=shapes), target=Batch(images=-shapes))
    parameters = [p for name in learner.generating for p in learner.module[name].parameters()]
    optimizer, sums = torch.optim.Adam(parameters, 5e-3), []
    for step in range(12):
        torch.manual_seed(0)
        losses = learner.generate(batch, Step(step, 12))
        loss = sum(value for name, value in losses.items() if not name.startswith("fool"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sums.append(float(loss.detach()))
    assert sums[-1] < 0.8 * sums[0] and all(map(math.isfinite, sums))


def test_munit_finds_content_and_style_again(monkeypatch):
    """Where content is an image and style its mean colour, what each loss is can be said: equations 1 to 3."""
    learner, codes = made("translate/munit", codes=3, own=10.0), torch.tensor([[0.5, 0.0, -0.5], [0.1, 0.2, 0.3]])
    monkeypatch.setattr(learner, "drawn_codes", lambda images: codes)

    def mean_of(images):
        return images.mean((2, 3))

    def drawn(content, style):
        return content + (style - mean_of(content))[:, :, None, None]

    net = torch.nn.Module()
    net.content, net.style, net.draw = (lambda images: images), mean_of, drawn
    judge = learner.module["discriminator"]
    learner.module = {"generator": net, "generator_back": net, "discriminator": judge, "discriminator_back": judge}
    x, y = torch.rand(2, 2, 3, SIZE, SIZE)
    losses = learner.generate(StreamBatches(source=Batch(images=x), target=Batch(images=y)), Step(0, 1))
    for ending, images in (("", x), ("_back", y)):
        assert float(losses[f"own{ending}"]) == pytest.approx(0, abs=1e-5)
        assert float(losses[f"style{ending}"]) == pytest.approx(0, abs=1e-6)
        moved = float((codes - mean_of(images)).abs().mean())
        assert float(losses[f"content{ending}"]) == pytest.approx(moved, rel=1e-5)


def test_munit_draws_in_the_style_of_an_image_that_it_is_shown():
    learner = made("translate/munit")
    predictor = ImageTranslator(learner, "cpu", View(SIZE))
    draw = np.random.default_rng(0)
    photo, one, two = (Image.fromarray(draw.integers(0, high, (20, 30, 3), dtype=np.uint8)) for high in (256, 40, 256))
    with torch.no_grad():
        for layer in (learner.module["generator"].style[-1], *learner.module["generator"].statistics[::2]):
            layer.weight.mul_(40)  # untrained codes are all about 0
    plain, *styled = (p.translate(photo) for p in (predictor, predictor.with_style(one), predictor.with_style(two)))
    assert plain.shape == (20, 30, 3) and not np.array_equal(*styled) and not np.array_equal(plain, styled[0])
    assert np.array_equal(predictor.translate(photo), plain)  # it stayed as it was
    with pytest.raises(UsageError, match="knows one look alone"):
        ImageTranslator(made("translate/cut"), "cpu", View(SIZE)).with_style(one)


def test_what_was_made_in_a_step_is_not_made_again():
    images, kept, calls = torch.rand(4, 3, 2, 2), Made(), []

    def make(seen):
        calls.append(len(seen))
        return seen + 1

    for rows in (slice(0, 2), slice(2, 4)):
        kept.keep("generator", images[rows], images[rows] * 2, Step(5, 9))
    torch.testing.assert_close(kept.take("generator", images[2:], Step(5, 9), make), images[2:] * 2)
    assert calls == []
    kept.take("generator", images[1:3], Step(5, 9), make)
    kept.take("generator", images[2:], Step(6, 9), make)
    assert calls == [2, 2]


def test_batches_are_a_function_of_the_step_and_pairs_are_cut_alike():
    settings = TranslateTrain(batch_size=2, zoom=1.5, seed=3)
    batches = PairBatches(looks(pairs=True), SIZE, settings)
    batch, again = batches.batch(7), PairBatches(looks(pairs=True), SIZE, settings).batch(7)
    assert torch.equal(batch.images, again.images) and batch.images.shape == (2, 3, SIZE, SIZE)
    assert float((batch.images + batch.targets).abs().max()) < 0.02  # the other side is the negative
    apart = LookBatches(looks(), looks(), SIZE, settings).batch(0)
    assert not torch.equal(apart.source.images, apart.target.images)


def test_memory_is_estimated_and_fastcut_takes_less_than_half_of_cyclegan():
    def estimate(name: str, **sections) -> float:
        data = {"source": "images:a", "target": "images:b"}
        return memory_gb(recipes.parse({"task": "translate", "method": f"translate/{name}", "data": data, **sections}))

    cyclegan, fastcut = estimate("cyclegan"), estimate("fastcut")
    assert 2 < cyclegan < 8 and fastcut < cyclegan / 2
    small = {"model": {"image_size": 64}}
    one, two = (estimate("fastcut", **small, train={"batch_size": rows}) for rows in (1, 3))
    assert one < two < fastcut


def test_images_that_become_alike_are_told_once():
    warnings = []
    watch = CollapseWatch(SimpleNamespace(events=SimpleNamespace(warning=warnings.append)))
    for epoch, value in enumerate((0.05, 0.2, 0.9, 0.7, 0.2, 0.1), start=1):
        watch.look(value, epoch)
    assert len(warnings) == 1 and "after epoch 5" in warnings[0] and "0.20" in warnings[0]


def test_a_cyclegan_translates_both_ways_and_is_scored_on_pairs(home):
    test = "builtin:scenes?images=4&size=64&classes=2&look=night&truth=pairs&seed=5"
    values = changed(
        method="translate/cyclegan", data={**UNPAIRED, "test": test}, params={**SMALL, "pool": 2},
        train={"epochs": 1, "max_steps": 1}, eval={"features": TINY, "direction": "backward"},
    )  # fmt: skip
    _, result = work(values, home)
    assert result.status == "finished", result.error
    assert result.metrics["scored_on"] == "test" and "psnr" in result.metrics
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8))
    ways = [
        np.asarray(next(load_checkpoint(result.checkpoint, home, look={"direction": way}).look([image])).answer.image)
        for way in ("forward", "backward")
    ]
    assert ways[0].shape == (40, 70, 3) and not np.array_equal(*ways)
