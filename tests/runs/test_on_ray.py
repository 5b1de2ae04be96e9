"""On a real Ray cluster of two nodes on this machine: the same losses, a polite stop, and a node lost on the way."""

import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from studio import run
from studio.core import recipe as recipes
from studio.runs.cluster import ranks
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store
from studio.store.state import generations

pytest.importorskip("ray", reason="needs Ray (requirements-cluster.txt)")
pytestmark = pytest.mark.slow

TINY = {
    "method": "finetune/full",
    "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=6"},
    "train": {"epochs": 2, "batch_size": 16, "workers": 1, "precision": "fp32"},
    "device": "cpu",
}
TRIALS = 8


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two nodes of one processor each: `on` names the cluster, `lose_second()` kills one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("nodes")))
        from ray.cluster_utils import Cluster

        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        second = nodes.add_node(num_cpus=1)
    yield SimpleNamespace(
        on=f"ray:{nodes.address}", lose_second=lambda: nodes.remove_node(second, allow_graceful=False)
    )
    import ray

    ray.shutdown()
    nodes.shutdown()


def losses(filed):
    return [event["value"] for event in filed.events() if event["kind"] == "scalar" and event["name"] == "train/loss"]


def statuses(filed):
    return [event["status"] for event in filed.events() if event["kind"] == "status"]


def test_a_run_on_a_cluster_has_the_losses_of_one_here_and_stops_politely(home, cluster):
    store = Store(home)
    here, there = (store.run(run(TINY, home=home, on=on).run) for on in (None, cluster.on))
    assert losses(here) == losses(there) and len(losses(here)) > 3
    filed = submit(recipes.parse({**TINY, "train": {**TINY["train"], "epochs": 100_000}}), store, cluster.on)
    stopped = run_inline(filed, home, on=cluster.on, should_stop=lambda: len(losses(filed)) > 2)
    assert stopped.status == "stopped" and stopped.exit_code == 3 and generations(filed.state_path)
    assert not store.verify()


def test_two_processes_by_ray_train_have_the_losses_of_one(home, cluster):
    alone, shared = (
        Store(home).run(run({**TINY, "train": {**TINY["train"], "processes": n}}, home=home, on=on).run)
        for n, on in ((1, None), (2, cluster.on))
    )
    assert losses(shared) == pytest.approx(losses(alone), rel=1e-4) and len(losses(alone)) > 3
    assert statuses(shared).count("finished") == 1 and len(Store(home).checkpoints()) == 2


def test_a_rank_that_is_gone_is_told_from_one_that_failed():
    from ray.exceptions import ActorDiedError, RayTaskError
    from ray.train import WorkerGroupError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    gone = WorkerHealthCheckFailedError("no answer", ActorDiedError())
    failed = WorkerHealthCheckFailedError("it raised", RayTaskError("work", "trace", ValueError("x")))
    for failures, lost in (
        ({0: ValueError("peer"), 1: gone}, True),
        ({0: ValueError("x")}, False),
        ({1: failed}, False),
    ):
        assert ranks._lost(WorkerGroupError("words", failures)) == lost


def test_a_table_on_a_cluster_is_that_of_one_here(home, cluster, tmp_path):
    from studio.runs.sweep.space import Space
    from studio.runs.sweep.table import table_of

    draw, labels = np.random.default_rng(0), np.arange(24) % 3
    for name, shift in (("a", 0.0), ("b", 1.0)):
        np.savez(tmp_path / f"{name}.npz", x=draw.normal(labels[:, None], 0.7, (24, 5)) + shift, y=labels)
    params = {"domains": "; ".join(f"{n}=npz:{tmp_path}/{n}.npz?x=x&y=y" for n in "ab"), "methods": "coral"}
    recipe = {"task": "align", "method": "align/table", "params": params, "device": "cpu"}
    (tmp_path / "small.yaml").write_text(json.dumps(recipe))
    table = table_of(Space(str(tmp_path / "small.yaml"), (), ()), home, cluster.on)
    table.work()
    assert [(row["part"], row["status"]) for row in table.rows()] == [
        ("a-b 0", "finished"), ("b-a 0", "finished"), ("whole", "finished"),
    ]  # fmt: skip
    (whole,) = map(Store(home).run, table.result_runs())
    assert whole.metrics()["averages"] == run(recipe, home=home).metrics["averages"]


def test_a_sweep_that_loses_a_node_ends_with_every_run_once(home, cluster):
    pytest.importorskip("optuna")
    from studio.runs.sweep.space import Space, read_over
    from studio.runs.sweep.study import Study

    sets = [f"{key}={value}" for key, value in flat(TINY).items()]
    sweep = Study(
        Space("small-data-cnn", tuple(sets), (read_over("train.lr=log:1e-4..1e-2"),)), home, TRIALS, on=cluster.on
    )
    store = Store(home)

    def lose_one_of_two() -> None:
        until(lambda: sum(bool(losses(store.run(row["run"]))) for row in store.runs()) >= 2)
        cluster.lose_second()

    killer = threading.Thread(target=lose_one_of_two)
    killer.start()
    sweep.work()
    killer.join()
    rows = sweep.rows()
    assert [row["status"] for row in rows] == ["complete"] * TRIALS
    assert sorted(row["run"] for row in rows) == sorted(row["run"] for row in store.runs())
    runs = [store.run(row["run"]) for row in rows]
    assert [statuses(filed).count("finished") for filed in runs] == [1] * TRIALS
    assert not store.verify()


def flat(values, prefix=""):
    return {
        key: value
        for name, content in values.items()
        for key, value in (flat(content, f"{name}.") if isinstance(content, dict) else {prefix + name: content}).items()
    }


def until(true, seconds=300):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)
