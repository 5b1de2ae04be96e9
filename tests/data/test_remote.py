"""Data on other machines: the same as on this disk, fetched once, kept under a limit, and never for a visitor."""

import json
import shutil
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image
from torch import nn

from studio.core.errors import DataError, UsageError
from studio.data import open_data, read_image
from studio.data.features import cache
from studio.data.features.cache import extract
from studio.data.files import remote
from studio.data.files.byte_cache import ByteCache
from studio.data.files.limits import LIMITS, limits_of
from studio.data.preprocess import Preprocess
from studio.data.specs import require_allowed


class Small(nn.Module):
    """A tiny frozen backbone that counts the images it has seen."""

    def __init__(self):
        super().__init__()
        self.hash, self.preprocess, self.dim, self.seen = "h", Preprocess(image_size=16, crop_pct=1.0), 3, 0

    def embed(self, images):
        self.seen += len(images)
        return images.mean((2, 3))


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Class folders of photos, and beside them a zip, a shard and boxes of the same."""
    root = tmp_path_factory.mktemp("remote")
    with zipfile.ZipFile(root / "photos.zip", "w") as archive, tarfile.open(root / "photos.tar", "w") as tar:
        for label in "ab":
            for number in range(4):
                path = root / "photos" / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                noise = np.random.default_rng(number + 10 * ord(label)).integers(0, 255, (20, 24, 3), np.uint8)
                Image.fromarray(noise).save(path)
                archive.write(path, f"{label}/{number}.png")
                tar.add(path, f"{label}/{number}.png")
    boxes = {
        "images": [{"id": n, "file_name": f"a/{n}.png", "width": 24, "height": 20} for n in range(4)],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 2, 5, 6]} for n in range(4)],
    }
    (root / "boxes.json").write_text(json.dumps(boxes))
    return root


class Counted:
    """A file system that counts what is fetched, and fails as it is told."""

    def __init__(self, files) -> None:
        self.files, self.fetched, self.error = files, 0, None

    def __getattr__(self, name):
        work = getattr(self.files, name)
        if name not in ("cat_file", "get_file", "open", "walk", "info", "exists"):
            return work

        def call(*args, **kwargs):
            if self.error is not None:
                raise self.error
            self.fetched += name in ("cat_file", "get_file")
            return work(*args, **kwargs)

        return call


@pytest.fixture
def bucket(photos, monkeypatch):
    """s3://bucket, which is in memory."""
    files = fsspec.filesystem("memory")
    if files.exists("/bucket"):
        files.rm("/bucket", recursive=True)
    for path in photos.rglob("*.*"):
        files.pipe_file(f"/bucket/{path.relative_to(photos).as_posix()}", path.read_bytes())
    counted = Counted(files)
    monkeypatch.setattr(remote, "file_system", lambda address: (counted, "/" + address.partition("://")[2].rstrip("/")))
    return counted


def contents(dataset):
    return [(item.name, dataset.classes[item.label], item.source.read()) for item in dataset.items]


@pytest.mark.parametrize(
    "place", ["folder:s3://bucket/photos", "zip:s3://bucket/photos.zip", "wds:s3://bucket/photos.tar"]
)
def test_images_of_a_bucket_are_those_of_the_folder_and_are_fetched_once(photos, bucket, home, place):
    limits = limits_of(home)
    expected = contents(open_data(f"folder:{photos}/photos"))
    assert contents(open_data(place, limits)) == expected
    fetched = bucket.fetched
    assert contents(open_data(place, limits)) == expected and bucket.fetched == fetched <= 8


def test_boxes_of_a_bucket_find_their_images(photos, bucket, home):
    data = open_data("coco:s3://bucket/boxes.json?images=s3://bucket/photos", limits_of(home))
    here = open_data(f"coco:{photos}/boxes.json?images={photos}/photos")
    assert data.boxed and [item.name for item in data.items] == [item.name for item in here.items]
    assert all((a.boxes.xyxy == b.boxes.xyxy).all() for a, b in zip(data.items, here.items, strict=True))


def test_nothing_is_fetched_only_to_list_a_folder(bucket, home):
    assert len(open_data("folder:s3://bucket/photos", limits_of(home))) == 8 and bucket.fetched == 0


@pytest.mark.parametrize("place", ["folder:s3://bucket/photos", "wds:s3://bucket/photos.tar"])
def test_a_killed_stream_goes_on_at_the_same_image(bucket, home, place, monkeypatch):
    monkeypatch.setattr(cache, "BATCH", 1)

    class Dying(Small):
        def embed(self, images):
            if self.seen == 3:
                raise SystemExit
            return super().embed(images)

    data = open_data(place, limits_of(home))
    dying, lasting = Dying(), Small()
    with pytest.raises(SystemExit):
        extract(data, dying, home=home, batch_size=1)
    features, kept = extract(open_data(place, limits_of(home)), lasting, home=home, batch_size=1)
    assert bucket.fetched == 8 and lasting.seen == 8 - 3 and len(kept) == 8


def test_the_cache_stays_below_its_limit_and_forgets_what_was_unused_longest(tmp_path):
    store, fetched = ByteCache(tmp_path, 1000), []

    def get(name):
        return store.get(name, 300, lambda: fetched.append(name) or name.encode() * 300)

    for name in "abcabd":  # d makes room: c was unused longest
        assert get(name) == name.encode() * 300
    assert fetched == list("abcd")
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 900
    assert get("b") and fetched == list("abcd")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(b"cut")
    assert get("b") == b"b" * 300 and fetched == list("abcdb")


def test_a_limit_that_is_no_number_is_refused(bucket, home, monkeypatch):
    monkeypatch.setenv("STUDIO_CACHE_GB", "much")
    with pytest.raises(UsageError, match="STUDIO_CACHE_GB is 'much'"):
        open_data("folder:s3://bucket/photos", limits_of(home))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError("AccessDenied"), "Access to .* is refused .AccessDenied.*Credentials come from AWS_ACCESS"),
        (ConnectionError("no route to host"), "can't be reached or read .no route to host"),
        (FileNotFoundError("NoSuchBucket"), "There is nothing at s3://bucket/photos"),
        (ImportError("s3fs"), r"s3:// needs s3fs: pip install -r requirements-cluster.txt"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_listed(bucket, home, error, message):
    bucket.error = error
    with pytest.raises(DataError, match=message):
        open_data("folder:s3://bucket/photos", limits_of(home))


def test_a_network_that_breaks_stops_the_reading_and_leaves_no_image_out(bucket, home):
    data = open_data("folder:s3://bucket/photos", limits_of(home))
    bucket.error = ConnectionError("reset")
    with pytest.raises(DataError, match="can't be reached or read .reset"):
        extract(data, Small(), home=home)


@pytest.mark.parametrize(
    "spec",
    [
        "folder:s3://bucket/photos", "folder:http://169.254.169.254/latest/", "zip:https://127.0.0.1/x.zip",
        "wds:http://localhost:8080/{000..001}.tar", "coco:hf://datasets/a/b/c.json", "FOLDER:S3://bucket",
        "colored:folder:s3://bucket/photos", "folder:photos, s3://bucket/photos", "folder:http:/127.0.0.1/x",
    ],
)  # fmt: skip
def test_a_visitor_of_a_hosted_page_has_nothing_fetched(bucket, home, spec):
    visitor = limits_of(home.seen_by("visitor01"))
    with pytest.raises(DataError):
        require_allowed(spec, visitor.rights)
    with pytest.raises(DataError):
        open_data(spec, visitor)
    with pytest.raises(DataError, match="hosted for others fetches nothing"):
        remote.RemoteFile("s3://bucket/photos", visitor)
    assert bucket.fetched == 0


def test_an_option_of_a_visitor_fetches_nothing_either(bucket, photos, home):
    visitor = home.seen_by("visitor01")
    visitor.uploads.mkdir(parents=True)
    shutil.copy(photos / "boxes.json", visitor.uploads)
    with pytest.raises(DataError, match="hosted for others"):
        open_data(f"coco:{visitor.uploads}/boxes.json?images=s3://bucket/photos", limits_of(visitor))


def test_what_reads_from_this_disk_alone_says_so_and_a_bare_address_is_asked_for_its_kind(bucket, home):
    with pytest.raises(DataError, match="reid: reads from this machine's disk"):
        open_data("reid:s3://bucket/photos", limits_of(home))
    with pytest.raises(DataError, match="Write wds:s3://bucket/x.tar"):
        open_data("s3://bucket/x.tar")


def test_a_folder_that_can_not_be_listed_stops_the_listing_and_is_not_passed_over(bucket, home, monkeypatch):
    listing = bucket.files.ls

    def broken(path, *args, **kwargs):
        if str(path).rstrip("/").endswith("/b"):
            raise ConnectionError("reset")
        return listing(path, *args, **kwargs)

    monkeypatch.setattr(bucket.files, "ls", broken)
    with pytest.raises(DataError, match="can't be reached or read .reset"):
        open_data("folder:s3://bucket/photos", limits_of(home))


def test_more_files_than_allowed_are_refused_while_they_are_listed(bucket, home):
    with pytest.raises(DataError, match="more than 5 files"):
        open_data("folder:s3://bucket/photos", replace(LIMITS, images=5, home=home))


# --- over the network of this machine ---------------------------------------------------------------


class Ranged(SimpleHTTPRequestHandler):
    """Sends the part of a file that is asked for, as most servers do; the standard library's sends it whole."""

    def do_GET(self):
        asked = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if not asked or not path.is_file():
            return super().do_GET()
        first, last = (int(end) for end in asked.removeprefix("bytes=").split("-"))
        content = path.read_bytes()
        self.send_response(206)
        self.send_header("Content-Length", str(len(content[first : last + 1])))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[first : last + 1])

    def log_message(self, *words):
        pass


class Whole(Ranged):
    do_GET = SimpleHTTPRequestHandler.do_GET


@pytest.mark.parametrize("handler", [Ranged, Whole])
def test_a_web_server_gives_what_the_folder_holds_whether_it_knows_ranges_or_not(photos, home, handler):
    here = open_data(f"folder:{photos / 'photos'}", limits_of(home))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(photos))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        for place in (f"folder:{address}/photos", f"zip:{address}/photos.zip", f"wds:{address}/photos.tar"):
            there = open_data(place, limits_of(home))
            assert [item.name for item in there.items] == [item.name for item in here.items]
            images = [[np.asarray(read_image(item.source, item.name)) for item in one.items] for one in (here, there)]
            assert all(map(np.array_equal, *images)) and list(there.labels) == list(here.labels)
        with pytest.raises(DataError, match="There is nothing at http://127.0.0.1:[0-9]+/none"):
            open_data(f"zip:{address}/none", limits_of(home))
        server.shutdown()


@pytest.mark.parametrize("spec", ["folder:http://127.0.0.1:9/photos", "zip:http://127.0.0.1:9/x.zip"])
def test_a_server_that_does_not_answer_is_not_taken_for_an_empty_one(home, spec):
    with pytest.raises(DataError, match="http://127.0.0.1:9/.* can't be reached"):
        open_data(spec, limits_of(home))


def test_a_hub_that_does_not_answer_is_told(home, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="hf://datasets/someone/photos can't be reached or read"):
        open_data("folder:hf://datasets/someone/photos", limits_of(home))


def test_a_bucket_of_google_without_its_package_names_the_package(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(DataError, match="gs:// needs gcsfs"):
        open_data("folder:gs://bucket/photos", limits_of(home))
