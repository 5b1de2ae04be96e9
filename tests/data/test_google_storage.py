"""`gs://` over gcsfs, from a server on this machine: the images of the folder, and a sentence for what is not there."""

import socket

import pytest

from studio.core.errors import DataError
from studio.data import open_data
from studio.data.files.limits import limits_of

emulator = pytest.importorskip("gcp_storage_emulator.server", reason="needs gcp-storage-emulator")
gcsfs = pytest.importorskip("gcsfs", reason="needs gcsfs")


@pytest.fixture
def bucket(monkeypatch):
    """An empty bucket, as gcsfs's file system."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    gcsfs.GCSFileSystem.clear_instance_cache()
    yield gcsfs.GCSFileSystem()
    gcsfs.GCSFileSystem.clear_instance_cache()
    server.stop()


def test_images_of_a_bucket_are_those_of_the_folder(bucket, home, photos, tmp_path):
    folder = photos(tmp_path / "photos", {"cat": 3, "dog": 2})
    for path in folder.rglob("*.*"):
        bucket.pipe_file(f"bucket/photos/{path.relative_to(folder).as_posix()}", path.read_bytes())
    expected, far = (open_data(f"folder:{place}", limits_of(home)) for place in (folder, "gs://bucket/photos"))
    contents = [[(item.name, item.label, item.source.read()) for item in data.items] for data in (expected, far)]
    assert contents[0] == contents[1] and far.classes == expected.classes
    with pytest.raises(DataError, match="gs://bucket/nothing"):
        open_data("folder:gs://bucket/nothing", limits_of(home))
