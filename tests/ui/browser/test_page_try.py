"""What can be done with a checkpoint on the page beside asking it."""

import csv
import io
import re

import numpy as np
import pytest
from person import individuals, notice_after, offers, open_page, open_tool, pick, png_head, tab, teach, use_tool, zip_of
from PIL import Image

from studio import run
from studio.data import open_data, read_image
from studio.data.files.video import Writer

SORTER = {
    "method": "fewshot/prototypes", "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=6"}, "eval": {"ways": 3, "shots": 1, "queries": 2, "episodes": 5},
}  # fmt: skip


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("sky.png", png_head(14_000, 13_400), "it has too many pixels (187,600,000; at most 178,956,970)"),
        ("notes.png", b"no photo", "its content is text, not an image"),
        ("phone.heic", b"\0\0\0\x18ftypheic" + bytes(64), "it is a HEIC photo, which can't be read here"),
        ("half.png", png_head(40, 30), "it is damaged or cut short"),
    ],
)
def test_a_photo_that_can_not_be_used_is_refused_with_its_name_and_the_reason(
    served, browser, tmp_path, name, content, reason
):
    (tmp_path / name).write_bytes(content)
    page = open_page(browser, served[1])
    tab(page, "Try it")
    page.set_input_files("#try-photo input[type=file]", tmp_path / name)
    page.wait_for_selector(".toast-body", timeout=20_000)
    assert f"The photo can't be used. {name}: {reason}" in page.inner_text(".toast-body")


@pytest.mark.slow
def test_a_photo_gets_the_style_of_another_image_and_the_slider_acts_when_it_is_let_go(served, browser, tmp_path):
    home, url = served
    draw, scenes = np.random.default_rng(0), "builtin:scenes?images=3&size=64"
    values = {"task": "translate", "method": "translate/histogram", "device": "cpu", "data": {"target": scenes}}
    checkpoint = run(values, home=home).checkpoint
    for name, most in (("photo", (256, 256, 256)), ("style", (256, 40, 40))):
        Image.fromarray(draw.integers(0, most, (48, 64, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    page = open_page(browser, url)
    tab(page, "Try it")
    page.wait_for_function(
        "name => document.querySelector('#try-checkpoint input')?.value.includes(name)", arg=checkpoint
    )
    page.set_input_files("#try-photo input[type=file]", tmp_path / "photo.png")
    open_tool(page, "restyle")
    page.set_input_files("#tool-restyle-style input[type=file]", tmp_path / "style.png")
    for name in ("#try-photo", "#tool-restyle-style"):
        page.wait_for_selector(f"{name} img")

    def shown(after=""):
        """The mean colour of the image that came out, once it is another than that of the address `after`."""
        found = page.wait_for_function(
            """before => {
                const image = document.querySelector('#tool-image img');
                return image?.naturalWidth > 0 && image.src !== before && image.src;
            }""",
            arg=after,
        )
        address = found.json_value()
        with Image.open(io.BytesIO(page.request.get(address).body())) as image:
            return address, np.asarray(image.convert("RGB"), float).mean((0, 1))

    page.click("#tool-restyle-use")
    whole, red = shown()
    assert red[0] > 3 * red[1]
    slider = page.locator("#tool-restyle-strength input[type=range]")
    slider.fill("0.2")
    slider.dispatch_event("pointerup")
    _, little = shown(whole)
    assert little[1] > 2 * red[1] and page.problems == []


@pytest.mark.slow
def test_individuals_are_enrolled_recognised_and_found(served, browser, tmp_path):
    home, url = served
    recipe = {
        "task": "reid", "method": "reid/frozen", "data": {"train": "builtin:individuals?individuals=8&size=48"},
        "model": {"backbone": "timm/resnet18?random", "image_size": 64}, "device": "cpu",
    }  # fmt: skip
    assert run(recipe, home=home).checkpoint
    berta, *_ = individuals(tmp_path / "cows", "berta", "emma", "lotta")
    page = open_page(browser, url)
    tab(page, "Try it")
    page.wait_for_function("document.querySelector('#try-checkpoint input')?.value.startsWith('frozen')")
    page.wait_for_selector("#try-care :text('Not for watching or identifying anybody else')")
    page.set_input_files("#try-photo input[type=file]", next(berta.iterdir()))
    before = page.input_value("#try-checkpoint input")
    said = use_tool(page, "enrol", data=f"reid:{tmp_path / 'cows'}")
    assert "3 individuals are enrolled, by 9 images" in said
    page.wait_for_function("before => document.querySelector('#try-checkpoint input').value !== before", arg=before)
    page.wait_for_selector(f"#try-answer :text('{berta.name}')")
    assert "of 9 images are near enough" in use_tool(page, "find-in-folder", data=f"images:{tmp_path / 'cows'}")
    page.wait_for_selector("#tool-image img")


@pytest.mark.slow
def test_one_is_taught_followed_through_a_film_and_forgotten(served, browser, tmp_path):
    pytest.importorskip("av")
    home, url = served
    backbone = {"backbone": "timm/test_resnet?random", "image_size": 64}
    boxes = {"task": "detect", "method": "detect/fcos", "data": {"train": "builtin:scenes?images=6&size=64&classes=2"}}
    detector = run({**boxes, "model": backbone, "device": "cpu", "train": {"epochs": 1}}, home=home).checkpoint
    known = {"task": "reid", "method": "reid/frozen", "data": {"train": "builtin:individuals?individuals=8&size=48"}}
    assert run({**known, "model": backbone, "device": "cpu"}, home=home).checkpoint
    folder, _ = individuals(tmp_path / "cows", "berta", "emma")
    photos = sorted(folder.iterdir())
    with Writer(tmp_path / "film.mp4", 10) as film:
        for path in photos:
            film.write(Image.open(path))
    page = open_page(browser, url)
    tab(page, "Try it")
    page.wait_for_function("document.querySelector('#try-checkpoint input')?.value.startsWith('frozen')")
    page.set_input_files("#try-photo input[type=file]", photos[0])
    page.wait_for_selector("#try-photo img")
    teach(page, "berta")
    page.wait_for_selector("#try-answer :text('berta')")
    assert "of 1 frames" in use_tool(page, "follow", film=tmp_path / "film.mp4", detector=detector)
    page.wait_for_selector("#tool-watched video")
    assert "8 individuals are left" in use_tool(page, "forget", who="berta")
    assert not page.is_visible("#tool-made")
    assert page.problems == []


@pytest.mark.slow
def test_what_a_webcam_sees_goes_through_a_checkpoint_and_its_pace_is_told(served, browser, sorter):
    page = open_page(browser, served[1])
    page.context.grant_permissions(["camera"])
    open_checkpoint(page, sorter)
    page.click("#try-live > button")
    page.click("#live-camera button:has-text('webcam'), #live-camera .access-wrap button, #live-camera [role=button]")
    page.click("#live-camera .button-wrap button")
    page.wait_for_function("/[1-9].* frames a second/.test(document.querySelector('#live-pace')?.innerText)")
    assert page.locator("#live-answer li").count() == 3
    assert page.problems == []


@pytest.fixture(scope="module")
def sorter(outside_home):
    """A classifier that can be taught."""
    return run(SORTER, home=outside_home).checkpoint


def open_checkpoint(page, name):
    """Try it, with this checkpoint chosen."""
    tab(page, "Try it")
    page.wait_for_function("document.querySelector('#try-checkpoint input')?.value.length > 0")
    pick(page, "try-checkpoint", name)
    chosen(page, name)
    page.wait_for_selector(f"#tool-answer-folder.of-{name}")


def chosen(page, text):
    """Waits until the checkpoint is one of this name, or tag."""
    page.wait_for_function("text => document.querySelector('#try-checkpoint input').value.includes(text)", arg=text)


@pytest.mark.slow
def test_what_was_taught_is_taken_back_named_and_deleted_and_every_list_says_so(served, browser, sorter, tmp_path):
    page = open_page(browser, served[1])
    open_checkpoint(page, sorter)
    Image.new("RGB", (24, 24), "white").save(tmp_path / "new.png")
    page.set_input_files("#try-photo input[type=file]", tmp_path / "new.png")
    page.wait_for_selector("#try-photo img")
    teach(page, "zebra")
    taught = page.input_value("#try-checkpoint input").split("  ·  ")[-1]
    page.wait_for_selector(f"#try-undo:has-text('{sorter}')")
    page.click("#try-keep > button")
    page.fill("#try-name input", "my-zebra")
    page.click("#try-rename")
    page.wait_for_function("document.querySelector('#try-checkpoint input').value.startsWith('my-zebra  ·')")
    teach(page, "okapi")
    second = page.input_value("#try-checkpoint input").split("  ·  ")[-1]
    page.wait_for_selector(f"#try-undo:has-text('{taught}')")
    page.click("#try-undo")
    chosen(page, taught)
    tab(page, "Label")
    offers(page, "label-proposer", "my-zebra")
    tab(page, "Try it")
    page.once("dialog", lambda asked: asked.accept())
    assert f"{taught} was deleted" in notice_after(page, "#try-delete")
    offers(page, "try-checkpoint", taught, "detached")
    tab(page, "Label")
    offers(page, "label-proposer", "my-zebra", "detached")
    open_checkpoint(page, second)
    page.wait_for_selector("#try-undo", state="hidden")  # what it was taught from is gone
    assert page.problems == []


@pytest.mark.slow
def test_a_zip_is_answered_as_a_table_that_is_kept_and_its_mistakes_are_looked_through(
    served, browser, sorter, tmp_path
):  # fmt: skip
    digit = open_data("builtin:digits?per_class=1").items[0]
    read_image(digit.source, digit.name).save(tmp_path / "digit.png")
    labelled = zip_of(tmp_path / "of two classes.zip", {f"{name}/one.png": tmp_path / "digit.png" for name in "12"})
    bare = zip_of(tmp_path / "bare.zip", {"one.png": tmp_path / "digit.png"})
    page = open_page(browser, served[1])
    open_checkpoint(page, sorter)
    open_tool(page, "answer-folder")
    said = answer_zip(page, labelled)
    assert re.match(r"[12] of 2 answers are wrong \(2 images", said)  # one digit can't be a 1 and a 2
    with page.expect_download() as kept:
        page.click("#tool-csv a[download]")
    assert kept.value.suggested_filename == "answer-folder.csv"
    with open(kept.value.path(), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == ["image", "label", "score", "truth", "right"]
    assert rows[0]["right"] == "False" and {row["truth"] for row in rows} == {"1", "2"}
    assert {row["image"] for row in rows} == {"1/one.png", "2/one.png"}
    page.click("#tool-images button:has(img) >> nth=0")
    page.wait_for_selector(f"#tool-images .preview :text('{rows[0]['truth']} → {rows[0]['label']}')")
    assert answer_zip(page, bare).startswith("1 images were answered")
    page.wait_for_selector("#tool-images", state="hidden")
    assert page.problems == []


def answer_zip(page, path):
    """Has the images of a zip answered; what is then said."""
    box = "document.querySelector('#tool-answer-folder-data :is(input, textarea)').value"
    before = page.evaluate(box)
    with page.expect_file_chooser() as asked:
        page.click("#tool-answer-folder-data-zip")
    asked.value.set_files(path)
    page.wait_for_function(f"before => {box} !== before", arg=before)
    return use_tool(page, "answer-folder", opened=True)
