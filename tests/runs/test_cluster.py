"""Runs on a cluster: what they need goes there, what they leave comes back, and a lost node loses nothing."""

import pytest

from studio.core import recipe as recipes
from studio.core.errors import StoreError, StudioError, UsageError
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.runs.cluster import connect, ranks, work
from studio.runs.cluster.carrying import Workplace, bring, place, send
from studio.runs.queue import FOLLOWED, Capacity, Entry, next_to_start
from studio.runs.runner import execute, submit
from studio.store import Store
from studio.store.state import generations, load_state, save_state

TINY = {
    "method": "finetune/full",
    "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=6"},
    "train": {"epochs": 1, "batch_size": 16, "workers": 1, "checkpoint_every_s": 1e6},
    "device": "cpu",
}


def elsewhere(tmp_path):
    return Home.find(tmp_path / "node")


def test_a_run_that_is_worked_on_elsewhere_is_here_as_if_it_never_left(home, tmp_path):
    store, there = Store(home), elsewhere(tmp_path)
    run = submit(recipes.parse(TINY), store)
    away = Workplace(there, run.id)
    send(run, store, away)
    with EventWriter(run.events_path) as events:
        bring(run, store, away, events)
        assert run.status() == "queued" and len(run.events()) == 1  # nothing comes back that was sent
        result = execute(away.run, there)
        assert result.status == "finished", result.error
        bring(run, store, away, events)
        assert away.news().lines == b"" and away.news().changed == []
    assert run.events_path.read_bytes() == away.run.events_path.read_bytes()
    assert run.status() == "finished" and run.checkpoint() == result.checkpoint
    figures = [event["path"] for event in run.events() if event["kind"] == "figure"]
    assert figures and all((run.path / name).is_file() for name in figures)
    assert not store.verify() and set(store.checkpoint(result.checkpoint).tensors())


def test_resume_states_come_back_one_by_one_and_go_to_the_next_node(home, tmp_path):
    store = Store(home)
    run = submit(recipes.parse(TINY), store)
    away = Workplace(elsewhere(tmp_path), run.id)
    send(run, store, away)
    with EventWriter(run.events_path) as events:
        for step in range(4):
            save_state(away.run.state_path, {"step": step})
            bring(run, store, away, events)
    assert len(generations(run.state_path)) == 2 and load_state(run.state_path) == {"step": 3}
    following = Workplace(Home.find(tmp_path / "other"), run.id)
    send(run, store, following)
    assert load_state(following.run.state_path) == {"step": 3}


def test_a_checkpoint_that_the_recipe_names_goes_along_and_only_where_it_is_not_there(home, tmp_path):
    store, there = Store(home), elsewhere(tmp_path)
    first = submit(recipes.parse(TINY), store)
    named = execute(first, home).checkpoint
    second = submit(recipes.parse({**TINY, "model": {"checkpoint": named}}), store)
    away = Workplace(there, second.id)
    send(second, store, away)
    assert Store(there).checkpoint(named).tensors() and not Store(there).verify()
    sent = []
    away = Workplace(there, second.id)
    away.put = lambda name, data, put=away.put: (sent.append(name), put(name, data))
    send(second, store, away)
    assert sent and not any(name.startswith("blobs/") for name in sent)


@pytest.mark.parametrize("name", ["runs/other/recipe.yaml", "runs/mine/../x", "tags.json", "blobs/../x", "/etc/passwd"])
def test_a_node_writes_nothing_but_its_run_and_checkpoints(home, name):
    with pytest.raises(StoreError, match="is not taken"):
        place(home, "mine", name)


def test_a_share_of_a_gpu_is_that_of_its_memory():
    asked = work.resources("auto", 1.0 + 4.0, lambda: 16.0)
    assert asked == {"num_cpus": 1, "num_gpus": 0.25, "memory": 2**30}
    assert work.resources("cpu", 5.0, lambda: 16.0) == work.resources("auto", 5.0, lambda: None)
    assert [work.share_of(*gb) for gb in ((80, 40), (0.001, 80), (10, 40), (2, 0))] == [1.0, 0.0001, 0.25, 1.0]


def test_more_ranks_than_a_cluster_has_processors_are_refused():
    ranks.require_room(4, 4)
    with pytest.raises(UsageError, match="train.processes: found 5; the cluster has room for 4"):
        ranks.require_room(5, 4)


def test_a_run_that_a_cluster_works_on_takes_no_room_here_and_few_are_followed_at_once():
    here, there = Entry("here", 60.0, 8), Entry("there", 1.0, 1, on="ray")
    full = [Entry("large", 90.0, 8, started=True)]
    capacity = Capacity(8, 100.0)
    assert next_to_start([*full, here], capacity, free_gb=100) is None
    assert next_to_start([*full, here, there], capacity, free_gb=100) == there
    followed = [Entry(str(number), 1.0, 1, on="ray", started=True) for number in range(FOLLOWED)]
    assert next_to_start([*followed, there], capacity, free_gb=100) is None
    assert next_to_start([*followed, there, here], capacity, free_gb=100) == here


def test_places_that_are_none_and_clusters_that_do_not_answer_are_told(home, monkeypatch):
    for wrong in ("slurm", "ray:", "ray:host", "ray:host:port"):
        with pytest.raises(UsageError, match="expected ray, ray:HOST:PORT"):
            submit(recipes.parse(TINY), Store(home), wrong)
    monkeypatch.setattr(connect, "installed", lambda: False)
    with pytest.raises(UsageError, match="pip install -r requirements-cluster.txt"):
        submit(recipes.parse(TINY), Store(home), "ray")
    assert not Store(home).runs()
    with pytest.raises(StudioError, match="no Ray cluster at 127.0.0.1:9 .*ray start --head"):
        connect._require_answer("127.0.0.1:9")
