"""Individuals learned without labels: from clusters that are found anew, watched, and resumed bit for bit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.reid.clustering import LEFT_OUT, Clusters, numbered
from adapters.reid.data.cluster_batches import ClusterBatches
from adapters.reid.mixstyle import partners
from adapters.reid.run.camera_statistics import centred, centred_sides, embed_by_camera
from adapters.reid.run.cluster_judge import ClusterJudge
from adapters.reid.run.embedding import Eye, embed_dataset
from adapters.reid.run.scoring import Side
from adapters.reid.run.trial_runs import _require_cameras
from adapters.reid.spcl import reliable
from adapters.reid.task import ReidTrain
from studio import run
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import DataError, UsageError
from studio.core.faces import LearnerContext
from studio.core.procedure import Job
from studio.core.streams import Batch, Step
from studio.data.domains import blind
from studio.data.items import Dataset, Item
from studio.data.preprocess import Preprocess
from studio.device.norms import batch_norms
from studio.engine.averages import follow
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store

SEEN, OTHER = (f"builtin:individuals?individuals=8&size=32&views=3&place={place}" for place in (0, 1))
SMALL = {
    "task": "reid", "model": {"backbone": "timm/test_resnet?random", "image_size": 32}, "data": {"target": SEEN},
    "params": {"k1": 5, "k2": 2, "least": 2, "eps": 0.5}, "device": "cpu",
    "train": {"epochs": 2, "batch_size": 16, "workers": 1, "erasing": 0},
}  # fmt: skip


def small(method: str, **data: str) -> dict:
    return {**SMALL, "method": f"reid/{method}", "data": {"target": SEEN, **data}}


@pytest.mark.parametrize(("method", "source"), [("mmt", OTHER), ("spcl", None)])
def test_a_run_stands_beside_the_network_before_it_adapted(home, method, source):
    result = run(small(method, **({"source": source} if source else {})), {"eval.selection": "label-free"}, home=home)
    assert result.status == "finished" and result.metrics["selection"] == "label-free"
    assert result.metrics["direct_from"] == ("source" if source else "backbone")
    assert 0 <= result.metrics["direct_map"] <= 1 and 0 <= result.metrics["map"] <= 1
    events = Store(home).run(result.run).events()
    rows = next(event["rows"] for event in events if event["kind"] == "table" and event["name"] == "clusters")
    assert [row[0] for row in rows] == [0, 1, 2] and all(row[1] > 1 for row in rows)
    checkpoint = Store(home).checkpoint(result.checkpoint)
    assert not any(name.startswith("aids.") for name in checkpoint.manifest.tensors)


def test_a_stopped_run_goes_on_bit_for_bit(home, asked_at_every_step, monkeypatch):
    store, recipe = Store(home), recipes.parse(small("cluster-contrast"))
    whole = run_inline(submit(recipe, store), home)
    cut = submit(recipe, store)
    evaluate = ClusterJudge.evaluate

    def stopping(judge):
        if judge.count:  # after the first epoch
            cut.request_stop()
        return evaluate(judge)

    with monkeypatch.context() as patched:
        patched.setattr(ClusterJudge, "evaluate", stopping)
        assert run_inline(cut, home).status == "stopped"
    cut.clear_stop()
    resumed = run_inline(cut, home, resume=True)
    tensors = [store.checkpoint(result.checkpoint).tensors() for result in (whole, resumed)]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_what_is_learned_without_labels_asks_for_a_target():
    with pytest.raises(UsageError, match="data.target: nothing is named, and reid/mmt learns from images without"):
        recipes.parse({**small("mmt"), "data": {"train": SEEN}})
    with pytest.raises(UsageError, match="label-free looks at clusters, and reid/baseline makes none"):
        recipes.parse({**SMALL, "method": "reid/baseline", "params": {}, "data": {"train": SEEN},
                       "eval": {"selection": "label-free"}})  # fmt: skip
    with pytest.raises(UsageError, match="norms takes the batch-norm statistics of each camera, and params.freeze"):
        recipes.parse({**small("mmt"), "params": {"by_camera": "norms"}})


class Told:
    """Events that are kept."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, words: str) -> None:
        self.warnings.append(words)


class MadeUp:
    """As much of a job and a learner as a judge asks for."""

    params = registry.get("reid/cluster-contrast").Params()

    def __init__(self) -> None:
        self.events = Told()


def judge() -> ClusterJudge:
    return ClusterJudge(MadeUp(), MadeUp(), None, np.zeros((100, 3, 4, 4), np.uint8), [], dict)


def test_too_few_clusters_end_a_start_and_are_warned_of_later():
    with pytest.raises(UsageError, match=r"fall into 1 cluster, 20% of them into none; at least two .* params.eps"):
        judge()._watch(1, 0.2)
    later = judge()
    later.count = 12
    later._watch(0, 1.0)
    assert "The clusters before are kept" in later.job.events.warnings[0]
    assert "100% of the target's images are in no cluster" in later.job.events.warnings[1]


def test_jumps_of_the_number_of_clusters_are_warned_of_once():
    watched = judge()
    watched.count = 10
    for count in (12, 25, 30):
        watched._watch(count, 0.1)
    assert len(watched.job.events.warnings) == 1 and "10 clusters became 25" in watched.job.events.warnings[0]


def test_clusters_of_one_camera_are_warned_of():
    watched = judge()
    watched._watch(10, 0.1, 0.4)
    assert watched.job.events.warnings == []
    watched._watch(10, 0.1, 0.6)
    assert "60% of the clustered images are in a cluster of one camera alone" in watched.job.events.warnings[0]
    assert "Try params.by_camera: mean" in watched.job.events.warnings[0]


@pytest.mark.parametrize(("names", "words"), [(["", ""], "names none"), (["1", ""], "names 1")])
def test_what_sets_cameras_apart_asks_for_two_of_them(names, words):
    items = [Item(f"{number}.png", 0, Path(f"{number}.png"), camera=name) for number, name in enumerate(names)]
    with pytest.raises(DataError, match=f"params.by_camera: mean sets cameras apart, and reid:cows {words}. Set it"):
        _require_cameras("mean", "params.by_camera", blind(Dataset("reid:cows", ["berta"], items)))
    one, other = (Dataset("reid:cows", ["berta"], [Item("a", 0, Path("a"), camera=name)]) for name in "12")
    _require_cameras("mean", "eval.camera_statistics", one, other)


def test_batches_are_of_clusters_and_never_say_which():
    pixels = np.random.default_rng(0).integers(0, 255, (30, 3, 8, 8), dtype=np.uint8)
    labels = np.repeat([0, 1, 2, LEFT_OUT], [8, 8, 8, 6])
    settings = ReidTrain(batch_size=8, per_identity=4, augment="flip", erasing=0)
    batches = ClusterBatches(pixels, lambda: labels, Preprocess(8), settings, np.zeros(30, np.int64), twice=True)
    assert batches.waits and batches.steps_per_epoch == 3
    for step in range(6):
        batch = batches.batch(step)
        assert batch.names == ["images", "index", "again", "cameras"]
        drawn = labels[batch.index.numpy()].reshape(2, 4)
        assert (drawn == drawn[:, :1]).all() and (drawn >= 0).all() and drawn[0, 0] != drawn[1, 0]
        assert not torch.equal(batch.images, batch.again)


def test_spcl_keeps_independent_clusters_and_their_most_compact_images():
    clusters = Clusters(np.array([0, 0, 0, 1, 1, 2, 2, LEFT_OUT]))
    kept = reliable(clusters, np.array([0.9, 0.4, 0.8]), np.array([1, 1, 0.5, 1, 1, 0.7, 0.6, 1.0]), enough=0.8)
    assert kept.labels.tolist() == [0, 0] + [LEFT_OUT] * 6, "of the third cluster one image alone would be left"


def learner_of(name: str, images: int = 12):
    learner = registry.get(f"reid/{name}")(registry.get(f"reid/{name}").Params(least=2))
    backbone = registry.backbone("timm/test_resnet?random", image_size=32)
    learner.setup(LearnerContext(backbone, [], image_size=32))
    learner.remember(images)
    return learner


@pytest.mark.parametrize("by_camera", ["none", "norms"])
@pytest.mark.parametrize("name", ["cluster-contrast", "spcl", "mmt"])
def test_images_of_their_own_cluster_cost_less(name, by_camera):
    """The loss of images in the clusters of their features is below that of the same clusters dealt out anew."""
    learner = learner_of(name)
    learner.params.by_camera = by_camera
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)).repeat_interleave(3, dim=0)
    batch = Batch(images=images, again=images, index=torch.arange(12), cameras=torch.arange(12) % 2)
    learner.train_mode(False)
    features = learner.describe(images).detach()
    totals = []
    for labels in (np.repeat(np.arange(4), 3), np.tile(np.arange(4), 3)):
        learner.follow(features, numbered(labels))
        with torch.no_grad():
            returned = learner.losses(batch, Step(0, 1))
        totals.append(float(sum((returned[0] if isinstance(returned, tuple) else returned).values())))
    assert totals[0] < totals[1]


def test_the_averages_of_mmt_follow_their_networks():
    learner = learner_of("mmt")
    aids = learner.module.aids
    networks = {"first_mean": learner.module, "second_mean": aids["second"]}
    with torch.no_grad():
        for network in networks.values():
            for tensor in moving(network.backbone):
                tensor.add_(1.0)
    before = {name: [tensor.clone() for tensor in moving(aids[name].backbone)] for name in networks}
    follow(learner, step=0)  # warm: a tenth of what they were
    for name, network in networks.items():
        for mean, was, now in zip(moving(aids[name].backbone), before[name], moving(network.backbone), strict=True):
            assert torch.allclose(mean, 0.1 * was + 0.9 * now, atol=1e-6)
    assert set(learner.state()) == {name for name in learner.module.state_dict() if not name.startswith("aids.")}


def moving(module: torch.nn.Module) -> list[torch.Tensor]:
    """Weights, and the statistics that go with them."""
    return [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]


def test_both_networks_of_mmt_keep_pretrained_statistics():
    learner = learner_of("mmt")
    networks = learner.module, learner.module.aids["second"]
    before = [[norm.running_mean.clone() for norm in batch_norms(network.backbone)] for network in networks]
    learner.train_mode(True)
    for network, means in zip(networks, before, strict=True):
        network.backbone(torch.randn(4, 3, 32, 32))
        assert all(map(torch.equal, (norm.running_mean for norm in batch_norms(network.backbone)), means))


def test_partners_are_of_another_camera_where_there_is_one():
    cameras = torch.tensor([0, 0, 1, 2, 2, 2])
    for _ in range(5):
        assert (cameras[partners(cameras)] != cameras).all()
    assert partners(torch.zeros(3)).shape == (3,)


def test_statistics_of_a_camera_take_its_light_away(home):
    """Two cameras, one of which sees everything darker: embeddings of the same things meet, and nothing stays moved."""
    learner = registry.get("reid/baseline")(registry.get("reid/baseline").Params())
    backbone = registry.backbone("timm/test_resnet?random", image_size=32)
    learner.setup(LearnerContext(backbone, ["a"], image_size=32))
    draw = np.random.default_rng(0)
    bright = draw.integers(120, 255, (20, 32, 32, 3), dtype=np.uint8)
    items = [
        Item(f"{camera}/{row}", row, Pixels(bright[row] // darker), camera=camera)
        for row in range(20) for camera, darker in (("a", 1), ("b", 4))
    ]  # fmt: skip
    dataset = Dataset("made up", [str(row) for row in range(20)], items)
    job = Job(recipes.parse(small("cluster-contrast")), learner, home, None, Events(), home.root, "", "cpu", "fp32")
    eye = Eye(learner, Preprocess(32), "cpu", {}, False)
    before = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    apart = _apart(embed_dataset(job, eye, dataset, "")[0])
    embeddings, kept = embed_by_camera(job, eye, learner.module, dataset, "")
    assert [item.name for item in kept.items] == [item.name for item in items]
    assert _apart(embeddings) < 0.5 * apart
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.module.state_dict().items())


def test_the_mean_of_a_camera_is_taken_away_from_both_sides_alike():
    draw = np.random.default_rng(0)
    things, light = draw.standard_normal((20, 6)), {"a": np.zeros(6), "b": np.full(6, 4.0)}
    cameras = ["a", "b"] * 20
    embeddings = np.array([thing + light[camera] for thing in things for camera in "ab"], np.float32)
    moved = centred(embeddings, cameras)
    assert _apart(moved) < 1e-6 < _apart(embeddings) and np.allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)
    few = centred(embeddings[:8], cameras[:8])  # too few of each: the mean of all
    expected = embeddings[:8] - embeddings[:8].mean(axis=0)
    np.testing.assert_allclose(few, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    items = [Item(str(row), row // 2, Pixels(np.zeros((1, 1, 3))), camera=camera) for row, camera in enumerate(cameras)]
    whole = Dataset("made up", [str(row) for row in range(20)], items)
    asks, answers = (Side(embeddings[start::2], whole.subset(range(start, 40, 2))) for start in (0, 1))
    query, gallery = centred_sides(asks, answers)
    np.testing.assert_allclose(query.embeddings, moved[::2], atol=1e-6)
    np.testing.assert_allclose(gallery.embeddings, moved[1::2], atol=1e-6)
    first, second = centred_sides(asks, asks)
    assert first is second


def _apart(embeddings: np.ndarray) -> float:
    """How far the two cameras' images of a thing are from each other, beside how far things are apart."""
    pairs = embeddings.reshape(20, 2, -1)
    things = pairs.mean(axis=1)
    between, among = pairs[:, 0] - pairs[:, 1], things - things.mean(axis=0)
    return float(np.square(between).sum(axis=1).mean() / np.square(among).sum(axis=1).mean())


class Pixels:
    """An image in memory."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def read(self) -> np.ndarray:
        return self.pixels

    def digest(self) -> str:
        return str(id(self))


class Events(Told):
    def progress(self, *given) -> None:
        pass

    note = warning = progress
