"""Against a real S3 server: one recipe from a folder, a bucket and shards, and a store that is pushed and pulled."""

import tarfile

import numpy as np
import pytest
from PIL import Image

from studio import run
from studio.core.errors import DataError
from studio.core.home import Home
from studio.data import open_data
from studio.data.files.limits import limits_of
from studio.store import Store, sharing

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server():
    """The address of an S3 server on this machine."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


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
