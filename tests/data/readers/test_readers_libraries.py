"""torchvision: and hf: the sets of other libraries, read row by row; a clear sentence where they can't be had."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError, HubError
from studio.data import open_data, read_image


@pytest.fixture
def mnist(home, monkeypatch):
    """MNIST's four files, made small, where torchvision would have put them."""
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    raw = home.root / "torchvision" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = {}
    for split, count in (("train", 5), ("t10k", 3)):
        pixels[split] = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        sizes = np.array([2051, count, 28, 28], ">i4").tobytes()
        (raw / f"{split}-images-idx3-ubyte").write_bytes(sizes + pixels[split].tobytes())
        labels = np.arange(count, dtype=np.uint8).tobytes()
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(np.array([2049, count], ">i4").tobytes() + labels)
    return pixels


def test_a_set_of_torchvision_is_read_from_the_home_folder(mnist):
    train, test = open_data("torchvision:MNIST"), open_data("torchvision:MNIST?split=test")
    assert (len(train), len(test)) == (5, 3) and train.labels.tolist() == [0, 1, 2, 3, 4]
    assert train.classes[3] == "3 - three"
    assert (np.asarray(read_image(train.items[2].source))[..., 0] == mnist["train"][2]).all()
    assert train.items[2].source.digest() != train.items[1].source.digest()


def test_the_options_of_a_torchvision_set_are_its_own(mnist):
    found = open_data("torchvision:FakeData?size=4&num_classes=3")
    assert len(found) == 4 and set(found.labels) <= {0, 1, 2} and read_image(found.items[0].source).size == (224, 224)
    with pytest.raises(DataError, match="EMNIST was not made with no options: .*split"):
        open_data("torchvision:EMNIST")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("torchvision:MNST", "no dataset 'MNST'. Did you mean 'MNIST'"),
        ("torchvision:MNIST?part=test", "no option 'part'"),
        ("torchvision:MNIST?root=/etc", "no option 'root'"),
    ],
)
def test_unknown_sets_and_options_of_torchvision_are_answered(mnist, spec, words):
    with pytest.raises(DataError, match=words):
        open_data(spec)


def test_a_set_that_cannot_be_downloaded_names_what_is_here(mnist, monkeypatch):
    from torchvision import datasets

    def offline(*args: object, **options: object) -> None:
        raise RuntimeError("<urlopen error no route to host>")

    monkeypatch.setattr(datasets.CIFAR10, "download", offline)
    with pytest.raises(HubError, match="torchvision:CIFAR10 .*no route to host.*builtin:digits"):
        open_data("torchvision:CIFAR10")


class FakeRows:
    """As much of datasets.Dataset as is used."""

    def __init__(self, columns, features):
        self.columns, self.features = columns, features

    def cast_column(self, name, kind):
        assert name == "image" and kind.decode is False
        return self

    def __getitem__(self, key):
        return self.columns[key] if isinstance(key, str) else {name: rows[key] for name, rows in self.columns.items()}


class FakeImage:
    def __init__(self, decode=True):
        self.decode = decode


@pytest.fixture
def hub(monkeypatch, tmp_path, draw, encode):
    """The library `datasets`, of the version asked for, with one set of three images on its hub."""
    (tmp_path / "c.png").write_bytes(encode(draw(3), "PNG"))
    cells = [{"bytes": encode(draw(number), "PNG"), "path": None} for number in (1, 2)]
    cells.append({"bytes": None, "path": str(tmp_path / "c.png")})
    calls = []

    def install(labels, names=None, version="4.1.0", error=None):
        def load_dataset(name, **options):
            calls.append((name, options))
            if error:
                raise error
            features = {"image": FakeImage(), "label": SimpleNamespace(names=names)}
            return FakeRows({"image": cells, "label": labels}, features)

        library = SimpleNamespace(__version__=version, Image=FakeImage, load_dataset=load_dataset)
        monkeypatch.setitem(sys.modules, "datasets", library)
        return calls

    return install


def test_a_set_of_the_hub_is_read_by_the_one_door(hub, draw):
    calls = hub([1, 0, 1], names=["cat", "dog"])
    found = open_data("hf:org/pets@v2?split=test")
    assert found.classes == ["cat", "dog"] and found.labels.tolist() == [1, 0, 1]
    assert read_image(found.items[2].source).tobytes() == draw(3).tobytes()
    (name, options), *more = calls
    assert (name, options["revision"], options["split"]) == ("org/pets", "v2", "test") and not more
    assert "trust_remote_code" not in options


def test_labels_of_the_hub_may_be_texts_or_missing(hub):
    hub(["wolf", None, "bear"])
    found = open_data("hf:org/pets")
    assert found.classes == ["bear", "wolf"] and found.labels.tolist() == [1, -1, 0]


def test_what_the_hub_can_not_give_is_said(hub, monkeypatch):
    hub([0, 0, 0], error=ConnectionError("offline"))
    with pytest.raises(HubError, match="hf:org/pets can't be had .offline.*builtin:glyphs"):
        open_data("hf:org/pets")
    hub([0, 0, 0], version="3.6.0")
    with pytest.raises(HubError, match="needs datasets 4 or newer, found 3.6.0"):
        open_data("hf:org/pets")
    hub([0, 0, 0])
    with pytest.raises(DataError, match="has the columns image, label; name image and label"):
        open_data("hf:org/pets?y=colour")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(HubError, match="pip install"):
        open_data("hf:org/pets")


@pytest.mark.parametrize("name", ("pets", "https://evil.example/x", "org/pets/more", "../etc/passwd"))
def test_only_names_of_the_hub_are_passed_on(hub, name):
    calls = hub([0, 0, 0])
    with pytest.raises(DataError, match="expected hf:ORG/NAME"):
        open_data(f"hf:{name}")
    assert calls == []


def test_a_broken_image_of_another_library_is_found_when_read(hub, monkeypatch):
    from studio.data.files.images import BadImage

    hub([0, 0, 0], names=["cat"])
    source = open_data("hf:org/pets").items[0].source
    source.rows.columns["image"][0] = {"bytes": b"text", "path": None}
    with pytest.raises(BadImage, match="text"):
        read_image(source, "pets[0]")
    assert Image.open(io.BytesIO(source.rows.columns["image"][1]["bytes"])).size == (64, 48)
