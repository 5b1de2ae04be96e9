"""The page attacked over HTTP: what a stranger could do to it, tried on a real server."""

import html
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import studio.ui
from studio.core.rights import VISITOR
from studio.runs.executors import run_inline
from studio.store import Store
from studio.ui.catalogue import say
from studio.ui.visitors import COOKIE
from tests.ui.conftest import Refused

SECRET = "hf_secrettokenofthemachine"
SETTINGS = {"data.train": "builtin:digits?per_class=6", "eval.episodes": 2, "model.backbone": "studio/conv4"}


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "token").write_text(SECRET)
    return tmp_path / "token"


def photos_zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("cat", "dog"):
            for number in range(3):
                image = io.BytesIO()
                Image.fromarray(np.full((24, 24, 3), 40 * number + 9 * len(name), np.uint8)).save(image, "PNG")
                archive.writestr(f"{name}/{number}.png", image.getvalue())
    return data.getvalue()


# --- who visits ---------------------------------------------------------------------------------


def test_a_visitor_is_known_again_by_a_signed_cookie(hosted_page):
    visitor = hosted_page.visitor()
    first = visitor.http.get("/").headers["set-cookie"]
    assert first.startswith(f"{COOKIE}=") and "HttpOnly" in first
    assert "set-cookie" not in visitor.http.get("/").headers  # a refresh
    names = {hosted_page.app.served.visitors.name_in(hosted_page.visitor().http.get("/").cookies[COOKIE]) for _ in "ab"}
    assert len(names) == 2 and all(map(VISITOR.fullmatch, names))


def test_the_first_page_that_is_kept_for_all_names_nobody(hosted_page):
    cookies = [hosted_page.visitor().http.get("/").cookies[COOKIE] for _ in range(5)]
    assert len(set(cookies)) == 5


def test_another_visitors_runs_are_not_there(hosted_page):
    mine, other, unsigned = hosted_page.visitor(), hosted_page.visitor(), hosted_page.visitor()
    run = mine.call("start_run", "quickstart", SETTINGS)["run"]
    assert [row["run"] for row in mine.call("list_runs")] == [run]
    assert mine.call("show_run", run)["status"] == "queued"
    name = hosted_page.app.served.visitors.name_in(mine.http.cookies[COOKIE])
    unsigned.http.cookies.set(COOKIE, f"{name}.{'0' * 64}")
    for stranger in (other, unsigned):
        assert stranger.call("list_runs") == []
        for ask in ("show_run", "stop_run"):
            for guess in (run, run[:12], "last"):
                with pytest.raises(Refused, match="There (is|are) no"):
                    stranger.call(ask, guess)
        with pytest.raises(Refused, match="There is no"):
            stranger.press("go_on", run)
    assert mine.call("stop_run", run)["status"] == "stopped"


def test_a_call_without_a_cookie_is_a_visitor_of_its_own(hosted_page):
    answer = hosted_page.visitor().http.post("/gradio_api/call/start_run", json={"data": ["quickstart", SETTINGS]})
    assert answer.status_code == 200 and answer.cookies[COOKIE]
    assert hosted_page.visitor().call("list_runs") == []


# --- what may be opened -------------------------------------------------------------------------


def specs(secret):
    return (
        f"list:{secret}", f"yolo:{secret}", f"coco:{secret}", f"voc:{secret.parent}", f"folder:{secret.parent}",
        f"zip:{secret}", f"npz:{secret}?x=X&y=Y", f"mat:{secret}?x=a&y=b", f"builtin:digits,folder:{secret.parent}",
        "list:~/.cache/huggingface/token", "folder:~", "hf:owner/private", f"folder:{secret}/../..",
    )  # fmt: skip


def test_a_visitor_checks_no_data_of_the_machine(hosted_page, secret):
    visitor = hosted_page.visitor()
    for spec in specs(secret):
        with pytest.raises(Refused, match="hosted for others") as refused:
            visitor.press("take_spec", "train", spec, page="data")
        assert SECRET not in str(refused.value)


def test_the_owner_checks_them_and_is_told_no_line_of_a_file_that_is_no_list(local_page, secret):
    for scheme in ("list", "yolo", "coco", "npz", "mat", "zip"):
        options = "?x=X&y=Y" if scheme in ("npz", "mat") else ""
        with pytest.raises(Refused) as refused:
            local_page.visitor().press("take_spec", "train", f"{scheme}:{secret}{options}", page="data")
        assert SECRET not in str(refused.value) and "hosted" not in str(refused.value)


def reaching_out(secret):
    """Recipes (preset, settings) that name what is the machine's and not the visitor's."""
    tables = {"params.folder": str(secret.parent), "params.domains": "A=folder:{folder}; B=folder:{folder}"}
    return (
        ("quickstart", {**SETTINGS, "data.train": f"folder:{secret.parent}"}),
        ("quickstart", {**SETTINGS, "data.train": f"list:{secret}"}),
        ("quickstart", {**SETTINGS, "data.test": f"builtin:digits,zip:{secret}"}),
        ("quickstart", {**SETTINGS, "eval.episodes_file": str(secret)}),
        ("quickstart", {**SETTINGS, "model.backbone": f"file:{secret.parent}"}),
        ("align-table", tables),
        ("detect-few-shot", {"params.base": f"coco:{secret}"}),
        ("rank-backbones", {"params.backbones": ["studio/conv4", f"file:{secret.parent}"]}),
    )


def test_a_start_that_names_files_of_the_machine_is_refused_at_once(hosted_page, secret):
    visitor = hosted_page.visitor()
    for preset, settings in reaching_out(secret):
        with pytest.raises(Refused, match="hosted for others") as refused:
            visitor.call("start_run", preset, settings)
        assert SECRET not in str(refused.value)
    form = {"method": "fewshot/prototypes", "texts": {"data.train": f"folder:{secret.parent}"}}
    shown = json.dumps({**form, "shown": {"method": say(f"method.{form['method']}", "en")}})
    for on, refusal in (("", "hosted for others"), ("ray", "ray is not in the list")):
        with pytest.raises(Refused, match=refusal):
            visitor.press("begin", shown, on)
    with pytest.raises(Refused, match="makes no sweeps"):
        visitor.press("begin_sweep", shown, "train.lr=1e-3,1e-2", 2, False, "")
    assert visitor.call("list_runs") == []


def test_a_start_from_a_checkpoint_of_others_is_refused_as_if_it_were_not_there(hosted_page):
    home = hosted_page.home
    name = run_inline(Store(home).new_run(_recipe(SETTINGS)), home, should_stop=lambda: False).checkpoint
    visitor = hosted_page.visitor()
    for key, prefix in (("model.checkpoint", ""), ("model.backbone", "store/")):
        for asked in (name, name[:-2], "not-there"):
            with pytest.raises(Refused, match=f"There is no checkpoint '{asked}'"):
                visitor.call("start_run", "quickstart", {**SETTINGS, key: prefix + asked})
    with pytest.raises(Refused, match="There is no checkpoint"):
        visitor.call("start_run", "detect-quick", {"eval.ensemble": [name]})
    assert visitor.call("list_runs") == []


def test_a_filed_run_carries_its_visitor_to_the_worker(hosted_page, secret):
    visitor = hosted_page.visitor()
    visitor.http.get("/")
    home = hosted_page.home.seen_by(hosted_page.app.served.visitors.name_in(visitor.http.cookies[COOKIE]))
    run = Store(home).new_run(_recipe({**SETTINGS, "data.train": f"list:{secret}"}))  # past the check at the start
    assert run_inline(run, hosted_page.home, should_stop=lambda: False).status == "failed"
    answer = visitor.call("show_run", run.id)
    assert "hosted for others" in answer["error"] and SECRET not in json.dumps(answer)


def test_no_backbone_spec_reaches_a_library_with_a_file(hosted_page, local_page, secret):
    for page in (hosted_page, local_page):
        visitor = page.visitor()
        uploaded = visitor.http.post("/gradio_api/upload", files={"files": ("photo.jpg", b"cposix\nsystem\n.")}).json()[
            0
        ]
        for option in (f"checkpoint_path={uploaded}", f"pretrained_cfg_overlay={{'file':'{uploaded}'}}"):
            settings = {**SETTINGS, "model.backbone": f"timm/test_resnet?random&{option}"}
            run = Store(page.home).new_run(_recipe(settings))
            result = run_inline(run, page.home, should_stop=lambda: False)
            assert result.status == "failed" and "take no option" in result.error


def _recipe(settings):
    from studio.core import recipe as recipes

    values = recipes.read_yaml(recipes.SHIPPED / "quickstart.yaml")
    recipes.override(values, settings)
    return recipes.parse(values)


def test_an_uploaded_zip_is_its_visitors_alone(hosted_page):
    mine, other = hosted_page.visitor(), hosted_page.visitor()
    path = mine.http.post("/gradio_api/upload", files={"files": ("photos.zip", photos_zip())}).json()[0]
    kept = {"path": path, "orig_name": "photos.zip", "meta": {"_type": "gradio.FileData"}}
    mine.press("take_zip", "train", kept, page="data")
    (zipped,) = hosted_page.home.uploads.glob("*/*.zip")
    mine.press("take_spec", "train", f"zip:{zipped}", page="data")
    with pytest.raises(Refused, match="hosted for others"):
        other.press("take_spec", "train", f"zip:{zipped}", page="data")
    assert other.http.get(f"/gradio_api/file={zipped}").status_code in (403, 404)
    assert mine.http.get(f"/gradio_api/file={zipped}").status_code in (403, 404)


def test_a_visitors_data_versions_are_their_own(hosted_page):
    owner, other = hosted_page.visitor(), hosted_page.visitor()
    for name, count in (("few", 1), ("more", 2)):
        saved = owner.call("save_version", name, f"builtin:digits?per_class={count}", "")
    assert saved["images"] == 20 and {row["version"] for row in owner.call("list_versions")} == {"few", "more"}
    assert owner.call("compare_versions", "few", "more")["added"] == 10
    assert other.call("list_versions") == []
    for call in (
        ("compare_versions", "few", "more"), ("delete_version", "few"), ("save_version", "mine", "version:few", ""),
        ("start_run", "quickstart", {"data.train": "version:few"}),
        ("label_start", "seen", "version:few", "classes", []),
    ):  # fmt: skip
        with pytest.raises(Refused, match="no version"):
            other.call(*call)
    run = owner.call("start_run", "quickstart", {"data.train": "version:few"})["run"]
    recipe = Store(hosted_page.home).run(run).recipe()
    assert recipe.data.train.startswith("version:few?content=")
    assert owner.call("delete_version", "few") == {"deleted": "few"} and len(owner.call("list_versions")) == 1


def test_files_of_the_home_are_not_served(hosted_page, local_page):
    for page in (hosted_page, local_page):
        for path in (
            page.home.root / "page-secret.txt",
            page.home.root / "index.sqlite",
            page.home.runs,
            "/etc/passwd",
        ):
            assert page.visitor().http.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_a_recipe_with_shots_of_boxes_starts_on_a_hosted_page(hosted_page):
    visitor = hosted_page.visitor()
    run = visitor.call("start_run", "detect-few-shot", {})["run"]
    assert visitor.call("stop_run", run)["status"] == "stopped"


def test_backbones_that_the_owner_fetched_are_named_to_the_owner_alone(hosted_page, local_page, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for repo, config in (("owner/secret-vit", {"image_size": 32}), ("timm/secret.net", {"architecture": "secret"})):
        kept = tmp_path / f"models--{repo.replace('/', '--')}"
        (kept / "snapshots" / ("0" * 40)).mkdir(parents=True)
        (kept / "refs").mkdir()
        (kept / "refs" / "main").write_text("0" * 40)
        (kept / "snapshots" / ("0" * 40) / "config.json").write_text(json.dumps(config))
        (kept / "snapshots" / ("0" * 40) / "model.safetensors").write_bytes(b"")
    for page, named in ((local_page, True), (hosted_page, False)):
        form = json.dumps(page.visitor().press("_restore", "")[-1])
        assert "pip/tf_efficientnet_lite0" in form
        assert ("hf/owner/secret-vit" in form, "timm/secret@net" in form) == (named, named)


# --- the doors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_a_name_that_was_rebound_to_this_machine_is_not_answered(local_page, host):
    visitor = local_page.visitor(Host=host)
    assert visitor.http.get("/").status_code in (400, 421)
    assert visitor.http.post("/gradio_api/call/list_runs", json={"data": []}).status_code in (400, 421)
    assert visitor.http.get("/gradio_api/info").status_code in (400, 421)


@pytest.mark.parametrize("name", ["hosted_page", "local_page"])
@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "http://localhost"},
    {"Sec-Fetch-Site": "cross-site"}, {"Origin": "file://"}, {"Origin": "http://["},
])  # fmt: skip
def test_what_another_site_sends_is_refused(name, headers, request):
    page = request.getfixturevalue(name)
    visitor = page.visitor(**headers)
    before = sorted(page.home.uploads.rglob("*"))
    for answer in (
        visitor.http.post("/gradio_api/upload", files={"files": ("x.zip", photos_zip())}),
        visitor.http.post("/gradio_api/call/start_run", json={"data": ["quickstart", {}]}),
        visitor.http.post("/gradio_api/queue/join", json={"data": [], "fn_index": 0, "session_hash": "x"}),
        visitor.http.post("/gradio_api/mcp/", json={}),
    ):
        assert answer.status_code == 403
    assert sorted(page.home.uploads.rglob("*")) == before


def test_the_page_itself_is_answered(hosted_page, local_page):
    for page in (hosted_page, local_page):
        for headers in ({"Origin": page.url, "Sec-Fetch-Site": "same-origin"}, {}):
            assert page.visitor(**headers).call("list_presets")
    port = local_page.url.rpartition(":")[2]
    named = local_page.visitor(Host=f"localhost:{port}", Origin=f"http://localhost:{port}")
    assert named.call("list_presets")


def test_messages_are_no_markup(hosted_page):
    with pytest.raises(Refused) as refused:
        hosted_page.visitor().call("show_run", "<img src=x onerror=alert(1)>")
    assert "<img" not in str(refused.value) and "&lt;img" in str(refused.value)


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "a & b <b>"])
def test_notices_are_no_markup(name, monkeypatch):
    from studio.ui import guard

    shown = []
    monkeypatch.setattr(guard.gr, "Info", lambda text, duration, title: shown.append(text))
    guard.inform(f"data.{name}: kept")
    assert "<" not in shown[0] and html.unescape(shown[0]) == f"data.{name}: kept"


def test_every_toast_is_shown_where_it_is_escaped():
    folder = Path(studio.ui.__file__).parent
    toast = re.compile(r"gr\.(Info|Warning|Success|Error)\(")
    assert [file.name for file in folder.rglob("*.py") if toast.search(file.read_text("utf-8"))] == ["guard.py"]
