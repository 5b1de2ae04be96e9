"""Too much of anything, sent over HTTP: what a page refuses, in a sentence and at once, and what it throws away."""

import io
import json
import math
import zipfile

import numpy as np
import pytest
from PIL import Image

from studio.core import recipe as recipes
from studio.core.events import EventWriter
from studio.data.files import limits
from studio.runs import affordable
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store, uploads
from studio.store.uploads import UploadBounds
from tests.ui.conftest import Refused

SMALL = {"data.train": "builtin:digits?per_class=6", "eval.episodes": 2, "model.backbone": "studio/conv4"}
UNFOLDS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BOTH = pytest.mark.parametrize("name", ["hosted_page", "local_page"])


def png(seed: int = 0, size: tuple[int, int] = (24, 24)) -> bytes:
    data = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def packed(files: dict[str, str | bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def give(visitor, content: bytes, name: str = "holiday.zip"):
    """The page's answer to a zip that is uploaded and checked, as the Data tab does it."""
    answer = visitor.http.post("/gradio_api/upload", files={"files": (name, content)})
    kept = {"path": answer.json()[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    return visitor.press("take_zip", "train", kept, page="data")


def kept(page) -> list[str]:
    return sorted(path.name for path in page.home.uploads.rglob("*.zip"))


# --- uploads ------------------------------------------------------------------------------------

PHOTOS = {f"{label}/{number}.png": png(10 * len(label) + number) for label in ("cat", "horse") for number in range(3)}
BOMBS = {
    "blank json": (
        {"a.json": '{"images": [' + " " * (40 * 2**20) + '], "annotations": []}', "a.png": png()}, "zip bomb",
    ),
    "unfolding yaml": (
        {"data.yaml": UNFOLDS + "names: *i\ntrain: .\n", "a.png": png(), "a.txt": ""}, "unfolds into more than",
    ),
    "blank pages": ({"cat/a.bmp": bytes(64 * 2**20), "dog/a.bmp": bytes(2**20)}, "zip bomb"),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_zip_that_unpacks_to_much_is_refused_and_thrown_away(name, bomb, request):
    page, (files, reason) = request.getfixturevalue(name), BOMBS[bomb]
    before = kept(page)
    with pytest.raises(Refused, match=reason) as refused:
        give(page.visitor(), packed(files))
    assert kept(page) == before
    assert any(name in str(refused.value) for name in ("holiday.zip", *files))


VALUES = json.dumps({"images": [0] * (limits.HOSTED.text_values + 1), "annotations": [], "categories": []})


@pytest.mark.parametrize("files", [{"a.json": VALUES}, {f"{n}.txt": "" for n in range(limits.HOSTED.members + 1)}])
def test_strangers_give_fewer_values_and_files_than_the_owner(hosted_page, files):
    before = kept(hosted_page)
    with pytest.raises(Refused, match="(allowed|that are read)"):
        give(hosted_page.visitor(), packed({**PHOTOS, **files}))
    assert kept(hosted_page) == before


@pytest.mark.parametrize("language, said", [("en", "too many pixels"), ("zh-CN", "像素太多")])
def test_a_stranger_asks_of_smaller_photos_than_the_owner(hosted_page, local_page, language, said):
    held = io.BytesIO()
    Image.new("1", (7200, 7200)).save(held, "PNG")
    asked = []
    for page in (hosted_page, local_page):
        visitor = page.visitor(**{"accept-language": language})
        (path,) = visitor.http.post("/gradio_api/upload", files={"files": ("sky.png", held.getvalue())}).json()
        with pytest.raises(Refused) as refused:
            photo = {"path": path, "orig_name": "sky.png", "meta": {"_type": "gradio.FileData"}}
            visitor.press("look", "none", photo, page="tryit")
        asked.append(str(refused.value))
    hosted, local = asked
    assert "sky.png" in hosted and said in hosted and "50,000,000" in hosted
    visitor = hosted_page.visitor(**{"accept-language": language})
    (photo["path"],) = visitor.http.post("/gradio_api/upload", files={"files": ("sky.png", held.getvalue())}).json()
    with pytest.raises(Refused, match=said):  # a script's way in
        visitor.call("predict", "none", photo, 5)
    assert "sky.png" not in local  # of its checkpoint it is said that there is none


@pytest.mark.parametrize("language, said", [("en", "opens what you have uploaded"), ("zh-CN", "只打开你上传的文件")])
def test_for_a_stranger_no_file_is_fetched_from_its_web_address(hosted_page, language, said, monkeypatch):
    fetched = []
    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_download", lambda *where: fetched.append(where))
    visitor = hosted_page.visitor(**{"accept-language": language})
    away = {"path": "https://example.org/large.bin", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(Refused, match=said) as refused:
        visitor.call("predict", "none", away, 5)
    assert "https://example.org/large.bin" in str(refused.value)
    for handler, inputs, page in (
        ("look", ["none", away], "tryit"), ("take_zip", ["train", away], "data"),
        ("take_boxes", ["train", "cat", *[None] * 7, [away], *[None] * 7], "data"),
    ):  # fmt: skip
        with pytest.raises(Refused, match=said):
            visitor.press(handler, *inputs, page=page)
    assert not fetched


@BOTH
def test_a_cut_image_is_named_and_the_rest_is_taken(name, request):
    cut = {**PHOTOS, "cat/cut.png": png(5, (64, 64))[:2000]}
    answer = give(request.getfixturevalue(name).visitor(), packed(cut))
    assert "cut.png" in json.dumps(answer)


@BOTH
def test_a_yolo_set_that_lists_a_missing_image_is_answered(name, request):
    files = {"data.yaml": "train: train.txt\nnames: [nut]\n", "train.txt": "a.png\ngone.png\n"}
    box = "0 0.5 0.5 0.5 0.5\n"
    answer = give(
        request.getfixturevalue(name).visitor(), packed({**files, "a.png": png(), "a.txt": box, "gone.txt": box})
    )
    assert "gone" in json.dumps(answer)


def test_a_visitor_fills_the_own_room_and_no_other(hosted_page, monkeypatch):
    content = packed(PHOTOS)
    monkeypatch.setattr(uploads, "STRANGERS", UploadBounds(visitor_bytes=len(content) + 100, free_bytes=0))
    mine, other = hosted_page.visitor(), hosted_page.visitor()
    give(mine, content)
    with pytest.raises(Refused, match="You may give"):
        give(mine, packed({**PHOTOS, "cat/more.png": png(99)}))
    give(other, content)


@BOTH
def test_no_file_is_let_in_where_the_disk_is_full(name, request, monkeypatch):
    visitor = request.getfixturevalue(name).visitor()
    visitor.http.get("/")
    monkeypatch.setattr("studio.ui.upload_door.FREE_BYTES", 2**60)
    assert visitor.http.post("/gradio_api/upload", files={"files": ("a.zip", b"x")}).status_code == 413


# --- work ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["builtin:scenes?images=20000&size=2048", "builtin:glyphs?classes=9999999&per_class=99"]
)
def test_no_built_in_set_is_drawn_that_takes_minutes(hosted_page, spec):
    visitor = hosted_page.visitor()
    with pytest.raises(Refused, match="allowed|expected|at most"):
        visitor.press("take_spec", "train", spec, page="data")


@pytest.mark.parametrize("settings, reason", [
    ({"train.processes": 2}, "one process"),
    ({"train.processes": 10**6}, "train.processes"),
    ({"train.batch_size": 65_536}, "train.batch_size"),
    ({"train.batch_size": 64, "model.image_size": 2048}, "smaller images"),
    ({"train.batch_size": 4096, "train.micro_batch": 4096}, "train.micro_batch"),
    ({"model.image_size": 10**9}, "model.image_size"),
    ({"train.workers": 10**6}, "train.workers"),
    ({"train.epochs": 10**12}, "train.epochs"),
    ({"eval.episodes": "9" * 5000}, "eval.episodes"),
    ({"x" * 10_000: 1}, "x"),
    ({".".join("a" * 3000): 1}, "a"),
])  # fmt: skip
def test_a_start_that_would_cost_too_much_is_refused_at_once(hosted_page, settings, reason):
    visitor = hosted_page.visitor()
    with pytest.raises(Refused, match=reason) as refused:
        visitor.call("start_run", "small-data-cnn", settings)
    assert len(str(refused.value)) < 1000
    assert visitor.call("list_runs") == []


def test_of_one_visitor_so_many_runs_wait_and_another_still_starts(hosted_page):
    mine, other = hosted_page.visitor(), hosted_page.visitor()
    filed = [mine.call("start_run", "quickstart", SMALL)["run"] for _ in range(4)]
    with pytest.raises(Refused, match="4 are allowed at once"):
        mine.call("start_run", "quickstart", SMALL)
    assert len(mine.call("list_runs")) == 4
    assert other.call("stop_run", other.call("start_run", "quickstart", SMALL)["run"])["status"] == "stopped"
    assert mine.call("stop_run", filed[0])["status"] == "stopped"
    filed.append(mine.call("start_run", "quickstart", SMALL)["run"])  # one has made room
    for run in filed[1:]:
        mine.call("stop_run", run)


def test_a_visitors_run_makes_room_when_its_time_is_up_and_the_owners_never_must(hosted_page, monkeypatch):
    monkeypatch.setattr(affordable, "MINUTES", 0.0)
    values = recipes.read_yaml(recipes.SHIPPED / "quickstart.yaml")
    recipes.override(values, {**SMALL, "device": "cpu"})
    home = hosted_page.home
    for seen, status in ((home.seen_by("a" * 24), "stopped"), (home, "finished")):
        run = submit(recipes.parse(values), Store(seen))
        assert run_inline(run, home, should_stop=lambda: False).status == status
        assert ("minutes at a time" in run.events_path.read_text("utf-8")) == (status == "stopped")


def test_a_visitor_computes_so_many_hours_a_day_and_the_owner_without_end(hosted_page, monkeypatch):
    mine, other = hosted_page.visitor(), hosted_page.visitor()
    filed = mine.call("start_run", "quickstart", SMALL)["run"]
    mine.call("stop_run", filed)
    with EventWriter(hosted_page.home.runs / filed / "events.jsonl") as events:
        events.status("stopped", seconds=1800.0)  # worked on twice
        events.status("stopped", seconds=1800.0)
    monkeypatch.setattr(affordable, "HOURS_A_DAY", 1.0)
    with pytest.raises(Refused, match="computed for 1 hours in the last day"):
        mine.call("start_run", "quickstart", SMALL)
    assert [row["run"] for row in mine.call("list_runs")] == [filed]
    other.call("stop_run", other.call("start_run", "quickstart", SMALL)["run"])
    assert affordable.left_s(Store(hosted_page.home)) == math.inf
    monkeypatch.setattr(affordable, "DAY_S", 0.0)  # tomorrow
    mine.call("stop_run", mine.call("start_run", "quickstart", SMALL)["run"])
