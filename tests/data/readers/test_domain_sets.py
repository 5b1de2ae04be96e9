"""Published sets of domains are read from their layouts, counted, and asked for where they are missing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data import open_data
from studio.data.domain_sets import DomainSet, say_counts
from studio.data.readers import cifar10c
from studio.data.readers.domainnet import DOMAINNET
from studio.data.readers.office31 import OFFICE31
from studio.data.readers.officehome import OFFICEHOME
from studio.data.readers.pacs import PACS
from studio.data.readers.terraincognita import TERRAINCOGNITA
from studio.data.readers.visda2017 import VISDA2017
from studio.data.readers.vlcs import VLCS

SETS = {
    "office31": OFFICE31, "officehome": OFFICEHOME, "visda2017": VISDA2017, "domainnet": DOMAINNET, "pacs": PACS,
    "vlcs": VLCS, "terraincognita": TERRAINCOGNITA,
}  # fmt: skip


def tree(root: Path, published: DomainSet, layout: str) -> None:
    """Two classes of one image in each domain, of a colour that tells them apart."""
    for number, domain in enumerate(published.counts):
        for label, name in enumerate(("bike", "mug")):
            path = root / layout.format(domain=domain) / name / "0.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (6, 6), (30 * number, 100 * label, 9)).save(path)


@pytest.mark.parametrize("scheme", SETS)
def test_each_set_is_read_from_each_of_its_layouts(scheme: str, tmp_path: Path) -> None:
    published = SETS[scheme]
    for layout in published.layouts:
        root = tmp_path / layout.replace("/", "-").replace("{domain}", "d")
        tree(root, published, layout)
        first, *others = published.counts
        one = open_data(f"{scheme}:{root}?domain={first}")
        assert len(one) == 2 and one.classes == ["bike", "mug"] and {item.domain for item in one.items} == {first}
        assert f"2 of {published.counts[first][0]:,}" in one.remarks[-1] and "the rest is missing" in one.remarks[-1]
        assert len(open_data(f"{scheme}:{root}")) == 2 * (1 + len(others))


@pytest.mark.parametrize("scheme", SETS)
def test_a_missing_set_says_where_it_comes_from_how_it_lies_and_how_large_it_is(scheme: str, tmp_path: Path) -> None:
    published = SETS[scheme]
    total = f"{sum(versions[0] for versions in published.counts.values()):,} images"
    for root in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError, match="comes from") as error:
            open_data(f"{scheme}:{root}")
        assert total in str(error.value) and published.layouts[0] in str(error.value)
    with pytest.raises(DataError, match="has no domain 'amazn'"):
        open_data(f"{scheme}:{tmp_path}?domain=amazn")


def test_the_totals_are_those_that_the_papers_name() -> None:
    totals = {
        name: [sum(versions[i] for versions in known.counts.values()) for i in (0, -1)] for name, known in SETS.items()
    }
    assert totals == {
        "office31": [4110] * 2, "officehome": [15_588] * 2, "visda2017": [207_785] * 2, "domainnet": [596_006, 586_575],
        "pacs": [9991] * 2, "vlcs": [10_729] * 2, "terraincognita": [24_330] * 2,
    }  # fmt: skip


def test_counts_are_said_as_whole_missing_or_too_many() -> None:
    assert say_counts(DOMAINNET, "clipart", 48_129, 345).endswith(
        "48,833 or 48,129 images and 345 of 345 classes are here, all of it."
    )
    assert "the rest is missing" in say_counts(OFFICE31, "dslr", 497, 31)
    assert "more than were published" in say_counts(OFFICE31, "dslr", 499, 31)
    assert "the rest is missing" in say_counts(OFFICE31, "dslr", 498, 30)


def test_cifar_10_c_is_one_severity_of_one_corruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10c, "IMAGES", 4)
    images = np.repeat(np.arange(5, dtype=np.uint8), 4)[:, None, None, None] * np.ones((32, 32, 3), np.uint8)
    np.save(tmp_path / "fog.npy", images)
    with pytest.raises(DataError, match="2.9 GB"):
        open_data(f"cifar10c:{tmp_path}?corruption=fog")
    np.save(tmp_path / "labels.npy", np.tile(np.array([3, 5, 0, 9], np.uint8), 5))
    worst, mild = (open_data(f"cifar10c:{tmp_path}?corruption=fog{more}") for more in ("", "&severity=2"))
    assert [worst.items[0].source.read()[0, 0, 0], mild.items[0].source.read()[0, 0, 0]] == [4, 1]
    assert [worst.classes[label] for label in worst.labels] == ["cat", "dog", "airplane", "truck"]
    for options, fault in (("corruption=frog", "frog.*fog"), ("corruption=fog&severity=6", "1 to 5")):
        with pytest.raises(DataError, match=fault):
            open_data(f"cifar10c:{tmp_path}?{options}")
    np.save(tmp_path / "fog.npy", images[:3])
    with pytest.raises(DataError, match="shape"):
        open_data(f"cifar10c:{tmp_path}?corruption=fog")
