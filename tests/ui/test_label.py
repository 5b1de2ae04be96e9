"""What the Label page shows and does, without a browser; and two people on a hosted page."""

import json
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import UsageError
from studio.data.masks.outlines import filled_by
from studio.label.desk import Desk, start
from studio.label.strokes import painted
from studio.store.labelling import projects
from studio.ui import labelling
from studio.ui.catalogue import explained
from tests.ui.conftest import Refused

SIZE = (32, 24)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(3):
        Image.new("RGB", SIZE, (80 * number, 90, 40)).save(folder / f"{number}.png")
    return folder


def desk_of(home, photos, kind):
    return start("p", f"images:{photos}", kind, ["cat", "dog"], home)


def act(desk, kind, image, **more):
    return labelling.perform(
        desk, labelling.read_act(json.dumps({"act": kind, "project": "p", "image": image, **more}))
    )


def test_each_act_is_kept_and_leads_to_the_next_image_until_all_are_done(home, photos):
    desk = desk_of(home, photos, "classes")
    for number in range(3):
        state = labelling.shown(desk, "en", "random")
        assert state["size"] == list(SIZE) and state["src"].startswith("data:image/jpeg;base64,")
        assert state["progress"].startswith(f"{number} of 3 labelled")
        assert act(desk, "classes", state["image"], label="dog") == labelling.Step()
    over = labelling.shown(desk, "zh", "random", past=state["image"])
    assert over["image"] is None and over["said"] == "所有图像都已标注或跳过。"
    assert act(desk, "undo", None) == labelling.Step(state["image"], {"label": "dog"})
    assert act(desk, "class", "1.png", name="hen") == labelling.Step("1.png")
    assert labelling.shown(desk, "en", "random", labelling.Step("0.png"))["classes"] == ["cat", "dog", "hen"]


def test_an_image_that_cannot_be_read_is_skipped(home, photos, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("RGB", SIZE).save(tmp_path / "good.png")
    desk = desk_of(home, tmp_path, "boxes")
    assert labelling.shown(desk, "en", "random", labelling.Step("bad.png"))["image"] == "good.png"
    assert desk.labels.skipped == ["bad.png"]


def test_what_was_drawn_comes_back_to_be_corrected(home, photos):
    desk = desk_of(home, photos, "boxes")
    act(desk, "boxes", "0.png", size=list(SIZE), boxes=[["cat", 1, 1, 9, 9]])
    assert labelling.shown(desk, "en", "random", labelling.Step("0.png"))["truth"]["boxes"] == [["cat", 1, 1, 9, 9]]
    undone = labelling.shown(desk, "en", "random", act(desk, "undo", None))
    assert undone["truth"] is None and undone["proposal"]["boxes"] == [["cat", 1, 1, 9, 9]]
    with pytest.raises(UsageError, match="does not lie"):
        act(desk, "boxes", "0.png", size=list(SIZE), boxes=[["cat", 1, 1, 99, 9]])


def test_a_painted_mask_is_what_was_painted_and_is_shown_in_the_colours_of_its_classes(home, photos):
    desk = start("p", f"images:{photos}", "masks", ["cat", "dog"], home)
    square = {"kind": "polygon", "label": "dog", "points": [2, 2, 20, 2, 20, 12, 2, 12]}
    act(desk, "masks", "0.png", base=[], strokes=[square])
    state = labelling.shown(desk, "en", "random", labelling.Step("0.png"))
    assert state["overlay"].startswith("data:image/png;base64,")
    ((name, shape),) = state["truth"]["shapes"]
    inside = filled_by(shape, SIZE)
    assert name == "dog" and inside[3:12, 3:20].all() and not inside[:2].any() and not inside[14:].any()


def test_later_strokes_lie_over_earlier_ones_and_an_eraser_leaves_background():
    line = {"kind": "brush", "label": "cat", "points": [0, 12, 31, 12], "width": 6}
    hole = {"kind": "brush", "label": None, "points": [16, 12], "width": 8}
    shapes = dict(painted(SIZE, painted(SIZE, [], [line]), [{**line, "label": "dog", "points": [0, 12, 8, 12]}, hole]))
    cat, dog = (filled_by(shapes[name], SIZE) for name in ("cat", "dog"))
    assert dog[12, 2] and not (cat & dog).any() and cat[12, 28] and not cat[12, 16] and not dog[12, 16]
    assert painted(SIZE, [], [line, {**line, "label": None, "width": 12}]) == []
    rows = np.flatnonzero(filled_by(dict(painted(SIZE, [], [line]))["cat"], SIZE)[:, 10])
    assert rows.min() in (9, 10) and rows.max() in (14, 15) and len(rows) in (6, 7)


@pytest.mark.parametrize("stroke", [{}, {"kind": "brush", "points": ["a", 1]}, {"kind": "circle", "points": [1, 1]}])
def test_a_stroke_that_is_none_is_refused(stroke):
    with pytest.raises(UsageError, match="a stroke is"):
        painted(SIZE, [], [stroke])


@pytest.mark.parametrize("sent", ["", "[]", "null", "nonsense", '{"act": 1, "project": "p"}'])
def test_what_is_no_act_is_refused_in_a_sentence(sent):
    with pytest.raises(UsageError, match="choose a project"):
        labelling.read_act(sent)


def test_a_project_is_called_like_its_zip():
    assert labelling.free_name("my photos (2)", []) == "my-photos-2"
    assert labelling.free_name("../..", ["photos"]) == "photos-2"


def test_what_is_labelled_is_taken_away_as_a_zip_and_fills_the_form(home, photos):
    desk = desk_of(home, photos, "classes")
    act(desk, "classes", "0.png", label="dog")
    act(desk, "classes", "1.png", label="cat")
    assert labelling.report_of(desk) == {"truth": "labels", "classes": {"cat": 1, "dog": 1}}
    with zipfile.ZipFile(labelling.zip_of(home, desk, "folders")) as archive:
        assert {name for name in archive.namelist() if not name.endswith("/")} == {"dog/0.png", "cat/1.png"}


def test_another_visitor_s_project_is_not_there_and_no_file_of_the_machine_is_labelled(hosted_page, photos):
    mine, other = hosted_page.visitor(), hosted_page.visitor()
    data = "builtin:digits?per_class=2"
    mine.press("begin_project", None, False, data, "mine", "classes", "", page="pages.label")
    look = json.dumps({"act": "show", "project": "mine", "image": None})
    (state,) = mine.press("act", look, "random", "", page="pages.label")
    assert state["value"]["project"] == "mine" if "value" in state else state["project"] == "mine"
    for name in ("mine", "../mine", "own/mine"):
        with pytest.raises(Refused, match="no labelling project|can't be the name"):
            other.press("act", look.replace("mine", name), "random", "", page="pages.label")
    for spec in (f"images:{photos}", "labels:mine"):
        with pytest.raises(Refused, match="neither|labelling project itself"):
            other.press("begin_project", None, False, spec, "theirs", "classes", "", page="pages.label")


def test_a_script_labels_over_the_api(hosted_page):
    mine, other = hosted_page.visitor(), hosted_page.visitor()
    begun = mine.call("label_start", "api", "builtin:scenes?images=3&size=64&classes=2", "masks", ["ground"])
    assert begun == {"project": "api", "images": 3, "labelled": 0, "data": "labels:api?at=1"}
    chosen = mine.call("label_next", "api", "random", 2)
    assert chosen["rule"] == "random" and [row["proposal"] for row in chosen["images"]] == [None, None]
    image, square = chosen["images"][0]["image"], [[2, 2, 20, 2, 20, 20, 2, 20]]
    said = mine.call("label_image", "api", image, {"size": [64, 64], "shapes": [["ground", square]]})
    assert said == {"labelled": 1, "data": "labels:api?at=2"}
    with pytest.raises(Refused, match="no labelling project"):
        other.call("label_image", "api", image, {"size": [64, 64], "shapes": []})


def test_projects_are_listed_latest_first(home, photos):
    for name in ("a", "b"):
        start(name, f"images:{photos}", home=home)
    assert set(projects(home)) == {"a", "b"}


def test_what_goes_wrong_is_said_in_chinese_too(home, photos):
    desk = desk_of(home, photos, "boxes")
    for wrong in (
        lambda: desk.dataset(), lambda: desk.next("margin"), lambda: desk.doubts(), lambda: desk.item("no.png"),
        lambda: desk_of(home, photos, "boxes"), lambda: start("new", "labels:p", home=home), lambda: Desk("else", home),
        lambda: desk.project.add_class(""), lambda: labelling.read_act("{}"),
    ):  # fmt: skip
        with pytest.raises(UsageError) as error:
            wrong()
        assert not re.search("[a-z]{4,} [a-z]{3,}", explained(str(error.value), "zh")), error.value
