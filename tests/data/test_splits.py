"""Splits: deterministic, stratified, no class lost, and the same image never on both sides."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.errors import DataError
from studio.core.sections import LabelledData
from studio.data import Dataset, FeatureSet, open_data, require_classes, resolve_splits
from studio.data.splits import k_folds, resolve_class_splits, split_classes, stratified

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=150).map(np.array)
FRACTION = st.floats(0.02, 0.9)


def split(spec: str, **more: str):
    return resolve_splits(LabelledData(train=spec, **more), seed=0)


@settings(deadline=None)
@given(labels=LABELS, fraction=FRACTION, seed=st.integers(0, 2**32))
def test_each_class_is_held_out_by_its_share_and_never_lost(labels, fraction, seed):
    kept, held = stratified(labels, fraction, seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert (np.diff(kept) > 0).all() and (np.diff(held) > 0).all()
    for label, count in Counter(labels.tolist()).items():
        out = int((labels[held] == label).sum())
        assert out == min(max(1, round(fraction * count)), count - 1)


@settings(deadline=None)
@given(labels=LABELS, fraction=FRACTION, seed=st.integers(0, 100))
def test_the_same_seed_gives_the_same_split(labels, fraction, seed):
    first, second = (stratified(labels, fraction, seed) for _ in range(2))
    assert all((one == other).all() for one, other in zip(first, second, strict=True))


def test_another_seed_gives_another_split():
    labels = np.zeros(100, int)
    assert len({tuple(stratified(labels, 0.2, seed)[1]) for seed in range(10)}) == 10


@settings(max_examples=200, deadline=None)
@given(data=st.data(), labels=LABELS, fraction=FRACTION, seed=st.integers(0, 1000))
def test_what_belongs_together_stays_together_even_across_classes(data, labels, fraction, seed):
    groups = data.draw(st.lists(st.sampled_from([None, *"abcdefgh"]), min_size=len(labels), max_size=len(labels)))
    kept, held = stratified(labels, fraction, seed, groups)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    sides = [{groups[i] for i in side} - {None} for side in (kept, held)]
    assert not sides[0] & sides[1]
    assert set(labels) == set(labels[kept])  # every class can be learned
    for label, count in Counter(labels.tolist()).items():
        alone = sum(1 for i in range(len(labels)) if labels[i] == label and groups[i] is None)
        if alone == count > 1:  # without groups the share is exact
            assert (labels[held] == label).sum() == min(max(1, round(fraction * count)), count - 1)


def test_a_class_of_a_few_large_groups_still_holds_one_out():
    labels, groups = np.zeros(10, int), ["a"] * 5 + ["b"] * 5
    kept, held = stratified(labels, 0.2, 0, groups)
    assert len(kept) == len(held) == 5 and len({groups[i] for i in held}) == 1
    assert len(stratified(labels, 0.2, 0, ["a"] * 10)[1]) == 0


@settings(deadline=None)
@given(data=st.data(), k=st.integers(2, 6), seed=st.integers(0, 100))
def test_folds_hold_out_each_index_once_and_each_class_evenly(data, k, seed):
    counts = data.draw(st.lists(st.integers(2, 20), min_size=1, max_size=5).filter(lambda counts: sum(counts) >= k))
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    folds = k_folds(labels, k, seed)
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(len(labels)))
    for label, count in enumerate(counts):
        shares = [int((labels[held] == label).sum()) for _, held in folds]
        assert max(shares) - min(shares) <= 1 and sum(shares) == count
    sizes = [len(held) for _, held in folds]
    assert max(sizes) - min(sizes) <= 1
    for train, held in folds:
        assert sorted([*train, *held]) == list(range(len(labels))) and set(labels[train]) == set(labels)


def test_folds_that_cannot_be_made_are_explained():
    with pytest.raises(DataError, match="one image only"):
        k_folds(np.array([0, 0, 1]), 2, 0)
    for k in (1, 5):
        with pytest.raises(DataError, match=f"k is {k}; expected 2 to 4"):
            k_folds(np.array([0, 0, 1, 1]), k, 0)


def test_a_fifth_of_an_undivided_folder_is_held_out(photos, tmp_path):
    found = split(f"folder:{photos(tmp_path, {'cat': 10, 'dog': 5})}")
    assert (len(found.train), len(found.val), found.test) == (12, 3, None)
    assert Counter(found.val.labels.tolist()) == {0: 2, 1: 1} and "held out" in found.note
    names = [{item.name for item in part.items} for part in (found.train, found.val)]
    assert not names[0] & names[1]
    again = split(f"folder:{tmp_path}")
    assert [item.name for item in again.val.items] == [item.name for item in found.val.items]


def test_copies_of_one_image_are_never_on_both_sides(photos, tmp_path):
    root = photos(tmp_path, {"cat": 6, "dog": 6})
    for number in range(6):
        for copy in "abc":
            (root / "cat" / f"{number}{copy}.jpg").write_bytes((root / "cat" / f"{number}.jpg").read_bytes())
    (root / "dog" / "same.jpg").write_bytes((root / "cat" / "0.jpg").read_bytes())
    for seed in range(20):
        found = resolve_splits(LabelledData(train=f"folder:{root}"), seed)
        content = [{item.source.digest() for item in part.items} for part in (found.train, found.val)]
        assert not content[0] & content[1] and len(found.train) + len(found.val) == 31


def test_the_folders_own_splits_are_taken(photos, tmp_path):
    root = photos(tmp_path, {"train/cat": 3, "train/dog": 3, "valid/cat": 2, "valid/dog": 1, "test/dog": 4})
    found = split(f"folder:{root}")
    assert (len(found.train), len(found.val), len(found.test)) == (6, 3, 4)
    assert found.test.labels.tolist() == [1, 1, 1, 1] and "own val folder" in found.note


def test_where_only_test_is_given_val_is_held_out_of_train(photos, tmp_path):
    found = split(f"folder:{photos(tmp_path, {'train/cat': 5, 'train/dog': 5, 'test/cat': 2})}")
    assert (len(found.train), len(found.val), len(found.test)) == (8, 2, 2)


def test_given_specs_win_over_the_folders_own(photos, tmp_path):
    photos(tmp_path / "a", {"train/cat": 3, "train/dog": 3, "val/cat": 2, "val/dog": 2})
    photos(tmp_path / "b", {"dog": 4})
    found = split(f"folder:{tmp_path / 'a'}", val=f"folder:{tmp_path / 'b'}", test=f"folder:{tmp_path / 'a' / 'val'}")
    assert found.val.labels.tolist() == [1, 1, 1, 1] and found.val.classes == ["cat", "dog"]
    assert len(found.test) == 4 and f"{tmp_path / 'b'}" in found.note


def test_a_divided_set_given_for_test_stands_for_its_test_part(photos, tmp_path):
    photos(tmp_path / "a", {"cat": 5, "dog": 5})
    photos(tmp_path / "b", {"train/cat": 3, "test/cat": 2, "test/dog": 2})
    found = split(f"folder:{tmp_path / 'a'}", test=f"folder:{tmp_path / 'b'}")
    assert [item.name.split("/")[0] for item in found.test.items] == ["test"] * 4


def test_labels_of_val_and_test_are_trains_by_name(photos, tmp_path):
    photos(tmp_path / "a", {"ant": 5, "bee": 5, "cat": 5})
    photos(tmp_path / "b", {"bee": 2, "cat": 1})
    found = split(f"folder:{tmp_path / 'a'}", val=f"folder:{tmp_path / 'b'}")
    assert found.val.classes == found.train.classes and found.val.labels.tolist() == [1, 1, 2]


def test_classes_that_train_has_not_are_named(photos, tmp_path):
    photos(tmp_path / "a", {"train/cat": 2, "train/dog": 2, "val/cat": 1, "val/emu": 1})
    with pytest.raises(DataError, match=r"data\.val: .* has classes that train has not: emu\. Train has: cat, dog\."):
        split(f"folder:{tmp_path / 'a'}")
    photos(tmp_path / "b", {"fox": 1, "dog": 1})
    with pytest.raises(DataError, match=r"data\.test: .*fox"):
        split(f"folder:{tmp_path / 'a' / 'train'}", test=f"folder:{tmp_path / 'b'}")


def test_images_of_train_in_val_or_test_are_counted_in_the_note(photos, tmp_path):
    root = photos(tmp_path, {"train/cat": 3, "train/dog": 3, "val/cat": 2, "val/dog": 2})
    assert "too good" not in split(f"folder:{root}").note
    (root / "val" / "cat" / "9.jpg").write_bytes((root / "train" / "cat" / "0.jpg").read_bytes())
    assert "1 of the 5 images of val are in train too: scores will be too good." in split(f"folder:{root}").note


def test_what_was_left_out_stays_known(photos, tmp_path):
    root = photos(tmp_path, {"train/cat": 3, "train/dog": 3, "val/cat": 2, "val/dog": 2})
    (root / "train" / "cat" / "bad.jpg").touch()
    found = split(f"folder:{root}")
    assert [skip.name for skip in found.train.skipped] == ["train/cat/bad.jpg"] and found.val.skipped == []
    undivided = split(f"folder:{root / 'train'}")
    assert [skip.name for skip in undivided.train.skipped] == ["cat/bad.jpg"]


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        ({"cat": 1, "dog": 1}, "too few images to hold any out.*give data.val"),
        ({"val/cat": 1, "test/cat": 1}, r"has test/, val/ but no train/|has val/, test/ but no train/"),
    ],
)
def test_what_cannot_be_split_is_explained(photos, tmp_path, folders, words):
    with pytest.raises(DataError, match=words):
        split(f"folder:{photos(tmp_path, folders)}")


def test_nothing_given_and_features_given_are_explained(tmp_path):
    with pytest.raises(DataError, match=r"data\.train: nothing is given"):
        resolve_splits(LabelledData(), 0)
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 3)))
    with pytest.raises(DataError, match="holds feature vectors; this method needs images"):
        split(f"npz:{tmp_path / 'a.npz'}")


def test_for_learning_to_learn_whole_classes_are_held_out(photos, tmp_path):
    spec = f"folder:{photos(tmp_path, {name: 2 for name in 'abcdefghij'})}"
    found = resolve_class_splits(LabelledData(train=spec), 0)
    assert (len(found.train.classes), len(found.val.classes), len(found.val)) == (8, 2, 4)
    assert not set(found.train.classes) & set(found.val.classes) and found.val.classes[0] in found.note
    assert sorted(set(found.train.labels)) == list(range(8)) and sorted(set(found.val.labels)) == [0, 1]
    again = resolve_class_splits(LabelledData(train=spec), 0)
    assert again.val.classes == found.val.classes
    others = {tuple(resolve_class_splits(LabelledData(train=spec), seed).val.classes) for seed in range(10)}
    assert len(others) > 5


def test_classes_of_train_are_refused_where_new_ones_are_judged(photos, tmp_path):
    photos(tmp_path, {"a/cat": 2, "a/dog": 2, "b/cat": 2, "b/emu": 2})
    with pytest.raises(DataError, match=r"data\.val: cat is in train too, but this method is judged on classes"):
        resolve_class_splits(LabelledData(train=f"folder:{tmp_path}/a", val=f"folder:{tmp_path}/b"), 0)
    with pytest.raises(DataError, match="2 classes; at least 4 are needed to hold out two"):
        resolve_class_splits(LabelledData(train=f"folder:{tmp_path}/a"), 0)


def test_a_split_of_classes_divides_all_images(photos, tmp_path):
    whole = open_data(f"folder:{photos(tmp_path, {name: 3 for name in 'abcde'})}")
    kept, held = split_classes(whole, 0.4, 3)
    assert sorted([*kept.classes, *held.classes]) == whole.classes and len(kept) + len(held) == 15
    for part in (kept, held):
        assert all(item.name.split("/")[0] == part.classes[item.label] for item in part.items)


@pytest.mark.parametrize(("labels", "found"), (([0, 0], "only the class 'cat'"), ([-1, -1], "0 classes")))
def test_too_few_classes_are_counted_by_what_has_labels(labels, found):
    features = FeatureSet("npz:a.npz", ["cat", "dog"], np.zeros((2, 3), np.float32), np.array(labels))
    with pytest.raises(DataError, match=f"{found}; at least 2 are needed"):
        require_classes(features)
    require_classes(Dataset("builtin:digits", ["cat"], []), 0)
