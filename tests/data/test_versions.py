"""Data versions: what was saved comes back whatever becomes of the files, unchanged images once, changes told."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from studio.cli import main
from studio.core.errors import DataError, UsageError
from studio.core.home import Home
from studio.core.recipe import parse
from studio.data import open_data, save_version
from studio.data.checks.check import check_data
from studio.data.files.limits import limits_of
from studio.runs.lineage import lineage
from studio.runs.pinned import pinned
from studio.store import Store
from studio.store.uploads import STRANGERS, UploadBounds, keep_zip
from studio.store.version_changes import compare_versions
from studio.store.versions import delete, entries_of, versions


@pytest.fixture
def photos(tmp_path):
    """Four images of two classes in two splits."""
    draw = np.random.default_rng(3)
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            path = tmp_path / "photos" / split / label / "0.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(draw.integers(0, 255, (8, 12, 3), np.uint8)).save(path)
    return tmp_path / "photos"


def facts_of_items(dataset):
    return [(item.name, dataset.classes[item.label], item.source.digest()) for item in dataset.items]


def test_a_version_outlives_its_files_and_gc(home, photos):
    before = facts_of_items(open_data(f"folder:{photos}"))
    facts = save_version("pets-1", f"folder:{photos}", home)
    shutil.rmtree(photos)
    Store(home).gc()
    after = open_data(facts.spec, limits_of(home))
    assert facts_of_items(after) == before and after.classes == ["cat", "dog"]
    assert {name: len(rows) for name, rows in after.splits.items()} == {"test": 2, "train": 2}
    assert all(after.items[row].name.startswith(f"{name}/") for name, rows in after.splits.items() for row in rows)
    assert Store(home).verify() == []
    delete(home, "pets-1")
    assert len(Store(home).gc()["removed"]) == 4


def test_what_two_versions_share_is_kept_once_and_what_changed_is_told(home, photos):
    save_version("pets-1", f"folder:{photos}", home)
    blobs = {path.name for path in home.blobs.iterdir()}
    (photos / "train" / "cat" / "0.png").rename(photos / "train" / "dog" / "1.png")
    (photos / "test" / "dog" / "0.png").unlink()
    Image.new("RGB", (8, 8), "red").save(photos / "test" / "cat" / "0.png")
    Image.new("RGB", (8, 8), "blue").save(photos / "test" / "cat" / "1.png")
    shutil.copytree(photos / "train" / "dog", photos / "test" / "dog", dirs_exist_ok=True)
    (photos / "test" / "dog" / "1.png").unlink()
    (photos / "train" / "dog" / "0.png").unlink()
    save_version("pets-2", f"folder:{photos}", home)
    assert len({path.name for path in home.blobs.iterdir()} - blobs) == 2  # the red one and the blue one
    changes = compare_versions(home, "pets-1", "pets-2")
    assert [(row.change, row.image, row.before, row.after) for row in changes.rows if row.change != "changed"] == [
        ("added", "test/cat/1.png", "", "cat"),
        ("removed", "train/dog/0.png", "dog", ""),
        ("relabelled", "train/dog/1.png", "cat", "dog"),
    ]
    assert changes.counts()["changed"] == 2 and changes.unchanged == 0
    assert compare_versions(home, "pets-1", "pets-1").unchanged == 4


def test_an_image_that_went_to_another_split_is_moved(home, photos):
    save_version("a", f"folder:{photos}", home)
    (photos / "test" / "cat" / "0.png").rename(photos / "train" / "cat" / "9.png")
    save_version("b", f"folder:{photos}", home)
    (row,) = compare_versions(home, "a", "b").rows
    assert (row.change, row.before, row.after) == ("moved", "test", "train")


@pytest.mark.parametrize(
    "spec", ["builtin:scenes?images=3&size=64&classes=2", "builtin:scenes?images=2&size=64&truth=masks"]
)
def test_boxes_and_masks_come_back_as_they_were(home, spec):
    before, after = open_data(spec), open_data(save_version("v", spec, home).spec, limits_of(home))
    assert after.truth == before.truth and after.classes == before.classes
    for old, new in zip(before.items, after.items, strict=True):
        assert np.array_equal(np.asarray(old.source.read()), np.asarray(Image.open(new.source.path)))
        if old.boxes is not None:
            assert np.array_equal(old.boxes.xyxy, new.boxes.xyxy)
            assert np.array_equal(old.boxes.labels, new.boxes.labels)
        if old.mask is not None:
            assert np.array_equal(old.mask.read(), new.mask.read())


def test_the_same_content_has_the_same_hash_and_a_name_is_taken_once(home, photos):
    first, second = (save_version(name, f"folder:{photos}", home) for name in ("one", "two"))
    assert first.content == second.content and {facts.version for facts in versions(home)} == {"one", "two"}
    with pytest.raises(UsageError, match="already"):
        save_version("one", f"folder:{photos}", home)
    for name in ("", "../up", "a/b", "-x"):
        with pytest.raises(UsageError, match="can't be the name"):
            save_version(name, f"folder:{photos}", home)
    with pytest.raises(UsageError, match="no version 'ones'. Did you mean .one"):
        open_data("version:ones", limits_of(home))


def test_a_filed_run_says_which_content_it_learns_from_and_takes_no_other(home, photos):
    facts = save_version("pets", f"folder:{photos}", home)
    recipe = pinned(parse({"method": "fewshot/prototypes", "data": {"train": "version:pets"}}), Store(home))
    assert recipe.data.train == facts.spec == f"version:pets?content={facts.content[:12]}"
    assert pinned(recipe, Store(home)) == recipe
    nodes = lineage(Store(home).new_run(recipe), Store(home))
    assert [(node.kind, node.depth) for node in nodes] == [("data", 0), ("version", 1), ("run", 2)]
    assert nodes[0].name == f"train: folder:{photos}" and facts.short in nodes[1].name
    delete(home, "pets")
    (photos / "train" / "cat" / "0.png").unlink()
    save_version("pets", f"folder:{photos}", home)
    with pytest.raises(DataError, match="another one saved"):
        open_data(recipe.data.train, limits_of(home))


def test_a_visitor_has_versions_of_their_own_within_their_room(home, photos):
    mine, other = home.seen_by("visitor01"), home.seen_by("visitor02")
    own = mine.uploads / "photos-20260101-000000-abcd"
    shutil.copytree(photos, own)
    save_version("pets", f"folder:{own}", mine)
    assert len(open_data("version:pets", limits_of(mine))) == 4
    with pytest.raises(UsageError, match="no version"):
        open_data("version:pets", limits_of(other))
    with pytest.raises(UsageError, match="no version"):
        delete(other, "pets")
    assert versions(other) == versions(home) == [] and Store(home).gc()["removed"] == []
    with pytest.raises(DataError, match="neither"):
        save_version("theirs", f"folder:{own}", other)
    Image.new("RGB", (8, 8), "red").save(own / "train" / "cat" / "1.png")
    used = sum(file.stat().st_size for file in own.rglob("*.png")) + sum(e.size for e in entries_of(mine, "pets"))
    with pytest.raises(DataError, match="not enough room"):
        save_version("more", f"folder:{own}", mine, UploadBounds(visitor_bytes=used + 100, free_bytes=0))
    assert not list((home.root / "uploads").glob(".tmp-*")) and len(versions(mine)) == 1
    zipped = shutil.make_archive(str(home.root / "small"), "zip", photos / "train" / "cat")
    with pytest.raises(DataError, match="in all"):
        keep_zip(home.root / "small.zip", mine, UploadBounds(visitor_bytes=used, free_bytes=0))
    assert STRANGERS.visitor_bytes and zipped


def test_a_version_is_saved_without_images_that_have_problems(home, photos, capsys, monkeypatch):
    draw = np.random.default_rng(5)
    shutil.copy(photos / "test" / "cat" / "0.png", photos / "train" / "cat" / "leak.png")
    shutil.copy(photos / "train" / "dog" / "0.png", photos / "train" / "dog" / "again.png")
    pixels = draw.integers(0, 255, (8, 12, 3), np.uint8)
    for label in ("cat", "dog"):  # one image in two classes
        Image.fromarray(pixels).save(photos / "train" / label / "which.png")
    (photos / "train" / "cat" / "broken.png").write_bytes(b"no image")

    def names(facts):
        return {entry.name for entry in entries_of(home, facts.version)}

    whole = save_version("whole", f"folder:{photos}", home)
    clean = save_version("clean", f"folder:{photos}", home, without=["all"])
    gone = {"train/cat/leak.png", "train/dog/again.png", "train/cat/which.png", "train/dog/which.png"}
    assert names(whole) - names(clean) == gone and names(clean) <= names(whole) and whole.left_out == {}
    assert clean.left_out == {"leaks": 1, "conflicts": 2, "duplicates": 1}
    after = open_data(clean.spec, limits_of(home))
    assert check_data(after, clean.spec).duplicates == [] and {len(rows) for rows in after.splits.values()} == {2}
    with pytest.raises(UsageError, match="expected all, or some of leaks"):
        save_version("other", f"folder:{photos}", home, without=["ugly"])
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    assert main(["data", "save", "two", f"folder:{photos}", "--without", "leaks,conflicts", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == {"leaks": 1, "conflicts": 2}


def test_the_room_of_a_version_counts_masks_too(home):
    spec = "builtin:scenes?images=2&size=64&truth=masks"
    facts = save_version("v", spec, home)
    assert facts.bytes == sum(path.stat().st_size for path in home.blobs.iterdir())
    images = sum((home.blobs / entry.image).stat().st_size for entry in entries_of(home, "v"))
    delete(home, "v")
    Store(home).gc()
    with pytest.raises(DataError, match="not enough room"):
        save_version("v", spec, home.seen_by("visitor01"), UploadBounds(visitor_bytes=images, free_bytes=0))


def test_a_damaged_image_of_a_version_is_found_and_never_learned_from(home, photos):
    facts = save_version("pets", f"folder:{photos}", home)
    first, second = entries_of(home, "pets")[:2]
    (home.blobs / first.image).write_bytes(b"something else")
    (home.blobs / second.image).unlink()
    (problem,) = Store(home).verify()
    assert problem.where == "version pets" and second.name in problem.what
    with pytest.raises(OSError, match="not what the version saved"):
        open_data(facts.spec, limits_of(home)).items[0].source.read()


def test_a_damaged_version_of_one_visitor_takes_no_room_from_another(home, photos):
    mine, other = home.seen_by("visitor01"), home.seen_by("visitor02")
    for visitor in (mine, other):
        shutil.copytree(photos, visitor.uploads / "photos-20260101-000000-abcd")
    save_version("pets", f"folder:{mine.uploads / 'photos-20260101-000000-abcd'}", mine)
    (mine.versions / "pets.jsonl").write_text("no JSON")
    bounds = UploadBounds(visitor_bytes=10**6, free_bytes=0)
    assert save_version("pets", f"folder:{other.uploads / 'photos-20260101-000000-abcd'}", other, bounds).images == 4


def test_the_command_line_saves_lists_compares_and_deletes(home, photos, capsys, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(home.root))

    def said(*words):
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    assert said("data", "save", "a", f"folder:{photos}")["images"] == 4
    (photos / "train" / "cat" / "0.png").unlink()
    said("data", "save", "b", f"folder:{photos}")
    assert {row["version"] for row in said("data", "versions")} == {"a", "b"}
    assert said("data", "compare", "a", "b")["removed"] == 1
    assert main(["data", "compare", "a", "b"]) == 0 and "1 removed, 3 unchanged" in capsys.readouterr().err
    assert said("data", "delete", "a") == {"deleted": "a"} and Home.find().versions.is_dir()
    assert main(["data", "delete", "a"]) == 2
