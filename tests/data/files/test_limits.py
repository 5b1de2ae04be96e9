"""What is too large, too deep, or unfolds into too much is refused before it costs anything."""

import json
import random
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.core import recipe as recipes
from studio.core.errors import DataError, UsageError
from studio.core.texts import TextError, load_json, load_yaml
from studio.data import open_data
from studio.data.files.limits import HOSTED, LIMITS

LETTERS = "abcdefghijkl"


def unfolding(first, form):
    """Twelve lines, each nine times the one before it."""
    lines = [f"a: &a {first}"]
    for before, name in zip(LETTERS, LETTERS[1:], strict=False):
        lines.append(f"{name}: &{name} " + form.format(", ".join([f"*{before}"] * 9)))
    return "\n".join(lines) + "\n"


LAUGHS = unfolding("[x, x, x]", "[{}]")
BAD_YAML = {
    "laughs": LAUGHS,
    "merges": unfolding("{x: 1, y: 2}", "{{<<: [{}]}}"),
    "itself": "a: &a [*a]",
    "deep": "[" * 100_000,
    "deep and closed": "[" * 900 + "]" * 900,
    "digits": "1" * 5000,
    "sixties": "1:" * 100_000 + "1",
    "no day": "2024-13-45",
    "large": "a: " + "x" * 2**20,
    "code": "!!python/object/apply:os.system [ls]",
    "cut": "a: [",
}
BAD_JSON = {
    "deep": "[" * 100_000,
    "digits": "1" * 5000,
    "many": "[" + "[]," * 200_000 + "0]",
    "large": '"' + "x" * 2**20 + '"',
    "cut": '{"a": ',
    "not UTF-8": b"\xff\xfe{}",
}


@pytest.mark.parametrize("text", BAD_YAML.values(), ids=BAD_YAML)
def test_yaml_that_unfolds_or_is_none_is_refused(text):
    with pytest.raises(TextError):
        load_yaml(text)


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_json_that_is_too_much_or_none_is_refused(text):
    with pytest.raises(TextError):
        load_json(text)


def test_aliases_and_merges_as_people_use_them_are_read():
    text = "base: &base {lr: 0.1}\none: *base\ntwo: {<<: *base, epochs: 3}"
    assert load_yaml(text) == {"base": {"lr": 0.1}, "one": {"lr": 0.1}, "two": {"lr": 0.1, "epochs": 3}}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=30))
def test_ordinary_json_comes_back(value):
    text = json.dumps(value)
    assert load_json(text.encode()) == load_json(text) == value


@pytest.mark.parametrize("text", BAD_YAML.values(), ids=BAD_YAML)
def test_a_setting_of_any_text_is_refused_in_a_short_sentence(text):
    with pytest.raises(UsageError) as refused:
        recipes.load("quickstart", {"train.epochs": text})
    assert len(str(refused.value)) < 1000


def test_a_key_of_a_thousand_parts_is_refused():
    with pytest.raises(UsageError, match="nested so deeply"):
        recipes.load("quickstart", {".".join("a" * 1000): 1})


def test_a_recipe_file_that_unfolds_is_refused(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(LAUGHS)
    with pytest.raises(UsageError, match="unfolds"):
        recipes.load(str(file))


def test_a_preset_is_read_again_when_it_was_changed(home):
    def about():
        return {row["name"]: row["about"] for row in recipes.list_presets(home)}["mine"]

    file = home.presets / "mine.yaml"
    file.write_text("about: one")
    assert about() == "one"
    recipes.read_yaml(file)["about"] = "changed by a reader"
    assert about() == "one"
    file.write_text("about: three")
    assert about() == "three"


# --- annotations ------------------------------------------------------------------------------------


def zipped(tmp_path, **members):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_dot_", "."), data)
    return path


def test_annotations_that_unpack_like_a_bomb_are_refused_in_little_memory(tmp_path):
    """400 MB of JSON in 0.4 MB, beside 4 MB that do not shrink: the zip as a whole looks ordinary."""
    coco = b'{"images": [' + b" " * 400_000_000 + b'], "annotations": [], "categories": []}'
    path = zipped(tmp_path, ann_dot_json=coco, noise_dot_bin=random.Random(0).randbytes(4_000_000))
    script = f"""
from studio.core.errors import DataError
from studio.core.resident import peak_bytes
from studio.data import open_data
before = peak_bytes()
try:
    open_data("zip:{path}")
except DataError as error:
    print(error)
print("MB", (peak_bytes() - before) // 2**20)
"""
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=root)
    assert "zip bomb" in done.stdout, done.stderr
    assert int(done.stdout.split()[-1]) < 200


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("ann_dot_json", b'{"images": [], "annotations": [], "categories": []}' + b" " * 5000),
        ("data_dot_yaml", b"train: images\nnames: [a]\n" + b"#" * 5000),
    ],
)
def test_annotations_larger_than_allowed_are_refused_by_name(tmp_path, name, data):
    path = zipped(tmp_path, **{name: data})
    with pytest.raises(DataError, match=name.replace("_dot_", ".")):
        open_data(f"zip:{path}", replace(LIMITS, text_bytes=4000))


def test_a_json_of_many_values_is_refused_before_it_is_read(tmp_path):
    file = tmp_path / "ann.json"
    file.write_text('{"images": [' + "{}," * 1000 + '{}], "annotations": [], "categories": []}')
    with pytest.raises(DataError, match="more than the 500 values"):
        open_data(f"coco:{file}", replace(LIMITS, text_values=500))


def test_a_yolo_yaml_that_unfolds_is_refused_on_disk_and_in_a_zip(tmp_path):
    yaml = LAUGHS + "train: images\nnames: [a]\n"
    (tmp_path / "data.yaml").write_text(yaml)
    with pytest.raises(DataError, match="unfolds"):
        open_data(f"yolo:{tmp_path / 'data.yaml'}")
    with pytest.raises(DataError):
        open_data(f"zip:{zipped(tmp_path, data_dot_yaml=yaml)}")


@pytest.mark.parametrize("text", ["<annotation>" + "<x/>" * 600 + "</annotation>", "<annotation/>" + " " * 5000])
def test_a_voc_file_that_is_too_large_or_full_of_tags_is_named(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a\.xml: it has"):
        open_data(f"voc:{tmp_path}", replace(LIMITS, text_values=500, text_bytes=4000))


@pytest.mark.parametrize("heading", ["filename,label\n", "filename,cat,dog\n", "photos\n"])
def test_a_list_with_an_endless_line_is_refused(tmp_path, heading):
    (tmp_path / "all.csv").write_text(heading + "a" * 200_000 + ",b\n")
    with pytest.raises(DataError, match="line 2"):
        open_data(f"list:{tmp_path / 'all.csv'}")
    (tmp_path / "all.csv").write_text("a," * 100_000 + "\n1.png,cat\n")
    with pytest.raises(DataError, match="line 1"):
        open_data(f"list:{tmp_path / 'all.csv'}")


@pytest.mark.parametrize(
    "spec",
    [
        "builtin:scenes?images=20&size=2048",
        "builtin:scenes?images=100000",
        "builtin:glyphs?per_class=5000&size=16",
        "builtin:glyphs?size=2048&classes=4",
        "builtin:digits" + ",digits" * 20,
    ],
)
def test_strangers_get_small_built_in_sets(spec):
    with pytest.raises(DataError, match="allowed"):
        open_data(spec, HOSTED)


def test_strangers_get_what_the_page_offers():
    from studio.ui.pages.data import SAMPLES

    for spec in SAMPLES:
        open_data(spec, HOSTED)


def test_a_set_of_more_images_than_allowed_is_refused():
    with pytest.raises(DataError, match="1,797 images"):
        open_data("builtin:digits", replace(LIMITS, images=1000))


def test_an_option_of_thousands_of_digits_is_refused():
    with pytest.raises(DataError, match="expected a whole number"):
        open_data(f"builtin:digits?per_class={'1' * 5000}")
