"""Against a real S3 server: one recipe from a folder, a bucket and shards, and a store that is pushed and pulled."""

import os
import random
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from studio import run
from studio.core.errors import DataError, StoreError
from studio.core.home import Home
from studio.data import open_data
from studio.data.files.limits import limits_of
from studio.store import Manifest, Store, sharing

pytestmark = pytest.mark.slow


class Faults:
    """In front of the server: lets a share of requests fail, and kills `victim` at its upload number `at`."""

    def __init__(self, answers) -> None:
        self.answers, self.share, self.victim, self.at, self.uploads = answers, 0.0, None, 0, 0
        self.draw = random.Random(0)

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] == "PUT" and self.victim is not None:
            self.uploads += 1
            if self.uploads == self.at:
                self.victim.kill()
        if self.draw.random() < self.share:
            start_response("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        return self.answers(environ, start_response)


@pytest.fixture(scope="module")
def faults():
    """What stands in front of an S3 server on this machine; `.address` is the server's."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    running._server.app = faults = Faults(running._server.app)
    faults.address = "http://{}:{}".format(*running.get_host_and_port())
    yield faults
    running.stop()


@pytest.fixture
def server(faults):
    return faults.address


@pytest.fixture
def client(server, monkeypatch):
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    return client


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("bucket") / "photos"
    for label in "ab":
        (root / label).mkdir(parents=True)
        for number in range(8):
            noise = np.random.default_rng(number + 10 * ord(label)).integers(0, 255, (16, 16, 3), np.uint8)
            Image.fromarray(noise).save(root / label / f"{number}.png")
    return root


def losses(place, home):
    """The losses of a short training on `place`, step by step."""
    recipe = {
        "task": "classify", "method": "finetune/full", "data": {"train": place},
        "model": {"backbone": "studio/conv4", "image_size": 16},
        "train": {"epochs": 2, "batch_size": 4, "checkpoint_every_s": 1e6},
    }  # fmt: skip
    result = run(recipe, home=home)
    events = Store(home).run(result.run).events()
    scalars = [event for event in events if event["kind"] == "scalar" and "loss" in event["name"]]
    return result, [(event["name"], event["step"], event["value"]) for event in scalars]


def test_folder_bucket_and_shards_give_the_same_losses_bit_for_bit_and_the_run_travels(
    client, photos, tmp_path, home, monkeypatch
):
    with tarfile.open(tmp_path / "p-0.tar", "w") as tar:
        for path in sorted(photos.rglob("*.png"), reverse=True):
            tar.add(path, path.relative_to(photos).as_posix())
            client.upload_file(str(path), "bucket", f"photos/{path.relative_to(photos).as_posix()}")
    client.upload_file(str(tmp_path / "p-0.tar"), "bucket", "shards/p-0.tar")
    monkeypatch.setenv(sharing.VARIABLE, "s3://bucket/studio")
    result, expected = losses(f"folder:{photos}", home)
    assert expected
    for place in ("folder:s3://bucket/photos", "wds:s3://bucket/shards", f"wds:{tmp_path}/p-0.tar"):
        assert losses(place, home)[1] == expected
    bucket, other = sharing.required_bucket(), Store(Home.find(tmp_path / "other"))
    assert len(sharing.listed(bucket)["runs"]) == 4 and sharing.verify(bucket) == []
    assert sharing.pull(other, bucket, result.run).runs == [result.run]
    assert other.verify() == [] and other.run(result.run).checkpoint() == result.checkpoint
    assert sharing.push(Store(home), bucket).blobs == 0


def test_a_server_that_is_not_there_and_a_bucket_that_is_not_there_are_told(client, home, monkeypatch):
    with pytest.raises(DataError, match="There is nothing at s3://nowhere-at-all/photos"):
        open_data("folder:s3://nowhere-at-all/photos", limits_of(home))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="s3://bucket/photos can't be reached"):
        open_data("folder:s3://bucket/photos", limits_of(home))


def test_wrong_credentials_are_told_with_where_they_come_from(client, home, monkeypatch):
    from moto import settings

    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)  # from now on the server looks who asks
    with pytest.raises(DataError, match="Access to s3://bucket/photos is refused.*AWS_ACCESS_KEY_ID"):
        open_data("folder:s3://bucket/photos", limits_of(home))


def test_a_push_that_is_killed_while_requests_fail_leaves_nothing_half_there(
    client, faults, home, tmp_path, monkeypatch
):
    monkeypatch.setenv(sharing.VARIABLE, "s3://bucket/faulty")
    store = Store(home)
    for number in range(12):  # with a backbone that they share
        tensors = {"backbone.w": np.ones(64, np.float32), "head.w": np.full(4, number, np.float32)}
        store.put(Manifest(face="Learner", task="classify", method="finetune/full", classes=["a", "b"]), tensors)
    monkeypatch.setattr(faults, "share", 0.05)
    command = [sys.executable, "-m", "studio.cli", "push"]
    pushing = subprocess.Popen(command, env={**os.environ, "STUDIO_HOME": str(home.root)}, stderr=subprocess.DEVNULL)
    monkeypatch.setattr(faults, "at", 12)
    monkeypatch.setattr(faults, "victim", pushing)
    assert pushing.wait(120) != 0
    monkeypatch.setattr(faults, "victim", None)
    bucket = sharing.required_bucket()
    seen = sharing.listed(bucket)["checkpoints"]
    assert 0 < len(seen) < 12 and sharing.verify(bucket) == []
    there = bucket.sizes("blobs")
    moved = sharing.push(store, bucket)
    assert len(moved.checkpoints) == 12 - len(seen) and moved.blobs == 13 - len(there)
    assert sharing.verify(bucket) == [] and sharing.push(store, bucket).blobs == 0
    other = Store(Home.find(tmp_path / "other"))
    for checkpoint in sharing.listed(bucket)["checkpoints"]:
        sharing.pull(other, bucket, checkpoint)
    assert other.verify() == [] and len(other.checkpoints()) == 12


def test_a_bucket_that_one_may_not_write_is_told_and_nothing_here_is_lost(client, home, monkeypatch):
    from moto import settings

    monkeypatch.setenv(sharing.VARIABLE, "s3://bucket/refused")
    store, bucket = Store(home), sharing.required_bucket()
    store.put(Manifest(face="Learner", task="classify", method="finetune/full"), {"head.w": np.ones(4, np.float32)})
    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    with pytest.raises(StoreError, match="Access to s3://bucket/refused is refused.*Nothing here was lost"):
        sharing.push(store, bucket)
    assert store.verify() == [] and len(store.checkpoints()) == 1
