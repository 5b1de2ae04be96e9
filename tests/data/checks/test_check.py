"""The report card: counts, broken files, copies, leaks, what stands out; and near copies without false alarms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from studio.core.errors import DataError
from studio.data import check, open_data, read_image
from studio.data.checks.fingerprints import Fingerprint, difference_hash, fingerprint_of, near_groups


def test_good_photos_have_no_problems(photos, tmp_path):
    report = check(f"folder:{photos(tmp_path, {'cat': 6, 'dog': 7})}")
    assert report.problems == [] and report.images == 13 and report.classes == {"cat": 6, "dog": 7}
    assert report.sizes == {"smallest_side": 48, "median_short_side": 48, "largest_side": 64}


def test_every_bad_file_is_named_with_its_reason(photos, tmp_path):
    root = photos(tmp_path, {"cat": 6, "dog": 6})
    whole = (root / "cat" / "0.jpg").read_bytes()
    (root / "cat" / "cut.jpg").write_bytes(whole[:-300])
    (root / "cat" / "empty.jpg").touch()
    (root / "dog" / "text.jpg").write_text("text")
    report = check(f"folder:{root}")
    named = {entry["name"]: entry["reason"] for entry in report.broken}
    assert set(named) == {"cat/cut.jpg", "cat/empty.jpg", "dog/text.jpg"} and "cut short" in named["cat/cut.jpg"]
    assert report.images == 12 and report.classes == {"cat": 6, "dog": 6}  # only what can be used counts
    (said,) = report.problems
    assert all(name in said for name in named)


def test_copies_leaks_and_contradictions_are_told_apart(photos, tmp_path):
    root = photos(tmp_path, {"train/cat": 6, "train/dog": 6, "val/cat": 6, "val/dog": 6})

    def copy(source: str, target: str) -> None:
        (root / target).write_bytes((root / source).read_bytes())

    copy("train/cat/0.jpg", "train/cat/again.jpg")
    copy("train/cat/1.jpg", "val/cat/leak.jpg")
    copy("train/cat/2.jpg", "train/dog/both.jpg")
    report = check(f"folder:{root}")
    assert sorted(report.duplicates) == [
        ["train/cat/0.jpg", "train/cat/again.jpg"],
        ["train/cat/1.jpg", "val/cat/leak.jpg"],
        ["train/cat/2.jpg", "train/dog/both.jpg"],
    ]
    assert report.leaks == [["train/cat/1.jpg", "val/cat/leak.jpg"]]
    assert report.conflicts == [["train/cat/2.jpg", "train/dog/both.jpg"]]
    assert report.near_duplicates == []
    text = "\n".join(report.problems)
    assert "1 image is in two splits, so scores would be too good: train/cat/1.jpg = val/cat/leak.jpg." in text
    assert "1 image is in two classes" in text and "3 images are there more than once" in text


def test_the_same_photo_saved_in_another_way_is_found_and_counts_as_a_leak(photos, tmp_path):
    root = photos(tmp_path, {"train/cat": 6, "train/dog": 6, "val/cat": 6, "val/dog": 6})
    image = read_image(root / "train" / "cat" / "3.jpg")
    image.resize((32, 24)).save(root / "val" / "cat" / "small.png")
    report = check(f"folder:{root}")
    assert report.near_duplicates == report.near_leaks == [["train/cat/3.jpg", "val/cat/small.png"]]
    assert report.duplicates == report.leaks == []
    assert any("nearly the same in two splits" in problem for problem in report.problems)


def test_uneven_and_small_classes_are_said(photos, tmp_path):
    report = check(f"folder:{photos(tmp_path, {'cat': 12, 'dog': 3})}")
    assert report.imbalance == 4.0
    assert any("fewer than 5 images: dog (3)" in problem for problem in report.problems)
    assert any("4 times as many" in problem for problem in report.problems)


def test_a_single_class_and_classes_missing_in_train_are_said(photos, tmp_path):
    assert any("Only 1 class" in problem for problem in check(f"folder:{photos(tmp_path / 'a', {'cat': 6})}").problems)
    root = photos(tmp_path / "b", {"train/cat": 6, "train/dog": 6, "val/emu": 6})
    assert "Classes of val that train has not: emu." in check(f"folder:{root}").problems


def test_tiny_images_among_large_ones_are_named(photos, tmp_path, draw):
    root = photos(tmp_path, {"cat": 5, "dog": 0})
    for number in range(10):
        draw(100 + number, (300, 200)).save(root / "dog" / f"{number}.jpg")
    draw(200, (16, 16)).save(root / "dog" / "icon.png")
    report = check(f"folder:{root}")
    assert report.tiny == ["dog/icon.png"] and report.sizes["largest_side"] == 300
    assert any("Smaller than 32 pixels on a side: dog/icon.png" in problem for problem in report.problems)


def test_sizes_are_those_of_the_files_not_of_the_reduced_decode(tmp_path, draw):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        draw(len(name), (1600, 1200)).save(tmp_path / name / "a.jpg")
    assert check(f"folder:{tmp_path}").sizes["largest_side"] == 1600


def test_domains_taken_for_classes_are_noticed(photos, tmp_path):
    root = photos(tmp_path, {f"{domain}/{name}": 3 for domain in ("photo", "sketch") for name in ("cat", "dog")})
    said = "\n".join(check(f"folder:{root}").problems)
    assert "Every class folder holds the same folders (cat, dog)" in said and "domains (photo, sketch)" in said
    joined = check(f"folder:{root}/photo,{root}/sketch")
    assert joined.domains == {"photo": 6, "sketch": 6} and not any("domains" in said for said in joined.problems)


def test_feature_files_are_checked_as_numbers(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 4))
    x[3, 1], x[7, 0], x[:, 2] = np.nan, np.inf, 1.0
    np.savez(tmp_path / "a.npz", x=x, y=np.repeat([0, 1], [4, 16]))
    report = check(f"npz:{tmp_path / 'a.npz'}")
    assert report.features == {"columns": 4, "constant_columns": 1, "bad_rows": 2, "repeated_rows": 0}
    said = "\n".join(report.problems)
    assert "2 of 20 rows hold NaN" in said and "1 of 4 feature columns" in said and "fewer than 5 images: 0 (4)" in said
    x = np.nan_to_num(x, posinf=0)
    np.savez(tmp_path / "a.npz", x=np.concatenate([x, x[:3]]))
    assert check(f"npz:{tmp_path / 'a.npz'}").features["repeated_rows"] == 3


def test_the_report_is_plain_data(photos, tmp_path):
    import json

    report = check(f"folder:{photos(tmp_path, {'cat': 2, 'dog': 2})}")
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()


def test_what_cannot_be_opened_at_all_is_an_error(tmp_path):
    with pytest.raises(DataError, match="There is no folder"):
        check(f"folder:{tmp_path / 'nowhere'}")


def test_real_photos_are_checked_without_false_alarms(shared_data):
    report = check(f"folder:{shared_data / 'hymenoptera'}")
    assert report.problems == [] and report.images == 398


def scene(seed: int = 0) -> Image.Image:
    cells = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((300, 220), Image.Resampling.BICUBIC)


def test_near_copies_are_grouped_and_others_are_not(encode):
    original = scene()
    copies = [
        read_image(encode(original, "JPEG", quality=20)),
        original.resize((97, 131)),
        ImageEnhance.Brightness(original).enhance(1.15),
        original.convert("L").convert("RGB"),
    ]
    others = [scene(seed) for seed in range(1, 30)] + [original.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    assert near_groups([fingerprint_of(image) for image in [original, *copies, *others]]) == [[0, 1, 2, 3, 4]]


def test_blank_images_are_not_called_copies_of_each_other():
    blanks = [Image.new("RGB", (50, 50), (value,) * 3) for value in (0, 100, 255)]
    ramp = np.tile(np.linspace(0, 5, 50), (50, 1))
    shaded = [Image.fromarray((start + ramp).astype(np.uint8)) for start in (90, 99)]
    assert near_groups([fingerprint_of(image.convert("RGB")) for image in [*blanks, *shaded]]) == []


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 700), copies=st.integers(0, 40))
def test_groups_are_those_of_comparing_every_pair(seed, count, copies):
    """Against a slow search, over the borders of chunks."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (count, 256)).astype(np.uint8)
    hashes = draw.integers(0, 2**63, count, dtype=np.uint64)
    for _ in range(copies if count else 0):
        source, target = draw.integers(0, count, 2)
        small[target] = small[source]
        flips = draw.integers(0, 64, draw.integers(0, 9))
        hashes[target] = hashes[source] ^ np.uint64(sum(1 << int(bit) for bit in set(flips.tolist())))
    found = near_groups([Fingerprint(int(one), row) for one, row in zip(hashes, small, strict=True)])
    place = np.arange(count)
    for i in range(count):
        close = np.array([(int(hashes[i]) ^ int(other)).bit_count() <= 6 for other in hashes[i + 1 :]], bool)
        for j in np.flatnonzero(close) + i + 1:
            if np.corrcoef(small[i].astype(float), small[j].astype(float))[0, 1] >= 0.98:
                place[place == place[j]] = place[i]
    expected = [np.flatnonzero(place == value).tolist() for value in np.unique(place)]
    assert found == sorted(group for group in expected if len(group) > 1)


def test_the_difference_hash_reads_brightness_from_left_to_right():
    ramp = Image.fromarray(np.tile(np.linspace(255, 0, 90), (80, 1)).astype(np.uint8))
    assert difference_hash(ramp) == 2**64 - 1
    assert difference_hash(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == 0


def test_near_copies_among_ten_thousand_are_found():
    draw = np.random.default_rng(0)
    hashes, small = draw.integers(0, 2**63, 10_000).tolist(), draw.integers(0, 256, (10_000, 256)).astype(np.uint8)
    fingerprints = [Fingerprint(one, row) for one, row in zip(hashes, small, strict=True)]
    fingerprints[9_000] = Fingerprint(fingerprints[17].hash ^ 0b101, fingerprints[17].small)
    assert near_groups(fingerprints) == [[17, 9_000]]


def test_different_drawings_are_no_copies_of_each_other(shared_data):
    found = open_data(f"omniglot:{shared_data / 'omniglot_small1.zip'}?alphabets=Greek")
    assert near_groups([fingerprint_of(read_image(item.source)) for item in found.items]) == []


def test_what_images_of_more_than_8_bits_are_taken_for_is_said(tmp_path):
    draw = np.random.default_rng(0)

    def save(label, number, high):
        (tmp_path / label).mkdir(exist_ok=True)
        values = draw.integers(0, high, (40, 40)).astype(np.uint16)
        values[0, 0] = high - 1
        Image.fromarray(values).save(tmp_path / label / f"{number}.png")

    for number in range(6):
        save("ab"[number % 2], number, 4096)
    sentence = [text for text in check(f"folder:{tmp_path}").problems if "more than 8 bits" in text]
    assert len(sentence) == 1 and "6 as 12 bits" in sentence[0] and "differently" not in sentence[0]
    save("a", 6, 60000)
    sentence = [text for text in check(f"folder:{tmp_path}").problems if "more than 8 bits" in text]
    assert "6 as 12 bits" in sentence[0] and "1 as 16 bits (a/6.png)" in sentence[0] and "differently" in sentence[0]
