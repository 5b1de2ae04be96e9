"""Who is let in: a page with a password, a page behind a proxy, and visitors who name what is another's."""

import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import studio.ui.app
from studio import cli
from studio.core import recipe as recipes
from studio.core.home import Home
from studio.data.files import video
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store
from studio.ui import doors
from studio.ui.visitors import COOKIE
from tests.ui.conftest import Refused, Server, serving

SORTER = {
    "method": "fewshot/prototypes", "device": "cpu", "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=4"}, "eval": {"ways": 3, "shots": 1, "queries": 1, "episodes": 2},
}  # fmt: skip
LOGIN = {"username": "ann", "password": "a long password"}
CALLS = (
    "list_presets",
    "list_methods",
    "estimate_run",
    "label_start",
    "label_next",
    "label_image",
    "start_run",
    "show_run",
    "stop_run",
    "list_runs",
    "check_data",
    "list_checkpoints",
    "predict",
    "export",
    "tool_watch_film",
)

# --- a password ---------------------------------------------------------------------------------


@pytest.fixture
def locked_page(tmp_path, monkeypatch):
    """What `launch.py ui --auth` serves."""
    pages = []

    def launched(page, **options):
        pages.append(page)
        return launch(page, prevent_thread_lock=True, quiet=True, **options)

    launch = studio.ui.app.Page.launch
    monkeypatch.setattr(studio.ui.app.Page, "launch", launched)
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert cli.main(["ui", "--port", str(port), "--auth", ":".join(LOGIN.values())]) == 0
    yield Server(Home(tmp_path / "home"), f"http://127.0.0.1:{port}", pages[0])
    pages[0].close()


def log_in(visitor, **changes):
    return visitor.http.post("/login", data={**LOGIN, **changes}).status_code


def test_nothing_is_answered_without_the_password_and_all_with_it(locked_page):
    stranger = locked_page.visitor()
    for name in CALLS:
        with pytest.raises(Refused, match="401"):
            stranger.call(name)
    for path in ("/config", "/gradio_api/info", f"/gradio_api/file={locked_page.home.root}/index.sqlite"):
        assert stranger.http.get(path).status_code in (401, 403), path
    assert stranger.http.post("/gradio_api/upload", files={"files": ("a.zip", b"x")}).status_code == 401
    assert "quickstart" not in stranger.http.get("/").text
    owner = locked_page.visitor()
    assert log_in(owner) == 200 and owner.call("list_presets")


def test_no_tool_answers_an_agent_where_a_password_is_asked(locked_page):
    stranger = locked_page.visitor(Accept="application/json, text/event-stream")
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    for path in ("mcp", "mcp/", "mcp/http", "mcp/http/", "mcp/schema", "mcp/messages/"):
        for answer in (stranger.http.get(f"/gradio_api/{path}"), stranger.http.post(f"/gradio_api/{path}", json=asked)):
            assert answer.status_code >= 300 or not any(name in answer.text for name in CALLS), path


def test_who_guesses_passwords_is_locked_out_for_a_while(locked_page, monkeypatch):
    visitor = locked_page.visitor()
    assert [log_in(visitor, password=f"guess {number}") for number in range(doors.LOGINS)] == [400] * doors.LOGINS
    assert log_in(visitor) == 429, "the right password waits too, or guessing goes on"
    monkeypatch.setattr(doors, "LOGIN_S", 0.0)  # a while later
    assert log_in(visitor) == 200
    monkeypatch.undo()
    assert [log_in(visitor, password="oops"), log_in(visitor)] == [400, 200]


def test_who_guesses_from_ever_new_addresses_is_locked_out_too(locked_page, monkeypatch):
    monkeypatch.setattr(doors, "ALL_LOGINS", 8)
    statuses = [
        log_in(locked_page.visitor(**{"X-Forwarded-For": f"10.0.0.{number}"}), password="guess") for number in range(12)
    ]
    assert statuses[:5] == [400] * 5 and statuses[-1] == 429


@pytest.mark.parametrize("written", ["ann", "ann:", ":secret", ":"])
def test_a_password_that_is_none_is_refused(written, capsys):
    assert cli.main(["ui", "--auth", written]) == 2
    assert "expected USER:PASSWORD" in capsys.readouterr().err


# --- a proxy ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proxied_page(tmp_path_factory):
    """What `launch.py ui --hosted --allow-host studio.example.org` serves, as a proxy on this machine reaches it."""
    home = Home.find(tmp_path_factory.mktemp("proxied") / "home")
    yield from serving(home, hosted=True, hosts=["studio.example.org"])


THROUGH = {
    "keeps the name": {"Host": "studio.example.org", "Origin": "https://studio.example.org"},
    "keeps the name with the port": {"Host": "studio.example.org:443", "Origin": "https://studio.example.org"},
    "tells the name": {"X-Forwarded-Host": "studio.example.org", "Origin": "https://studio.example.org"},
    "tells only who asked": {"Origin": "https://studio.example.org"},
}  # fmt: skip


@pytest.mark.parametrize("proxy", THROUGH)
def test_a_page_behind_a_proxy_is_answered_by_its_name_with_a_cookie_for_https(proxied_page, proxy):
    visitor = proxied_page.visitor(**THROUGH[proxy], **{"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"})
    cookie = visitor.http.get("/").headers["set-cookie"]
    assert "Secure" in cookie and "HttpOnly" in cookie
    answer = visitor.http.post("/gradio_api/call/list_runs", json={"data": []})
    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [
    {"Host": "studio.example.org", "Origin": "https://evil.example"},
    {"Host": "studio.example.org", "Origin": "https://studio.example.org.evil.example"},
    {"Host": "evil.example"},
    {"Host": "evil.example", "Origin": "https://evil.example"},
    {"Host": "evil.example", "X-Forwarded-Host": "studio.example.org"},
    {"Host": "studio.example.org", "Sec-Fetch-Site": "cross-site"},
])  # fmt: skip
def test_what_comes_through_the_proxy_from_another_site_is_refused(proxied_page, headers):
    answer = proxied_page.visitor(**headers).http.post("/gradio_api/call/list_runs", json={"data": []})
    assert answer.status_code in (403, 421)


# --- what is another's --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def owned(hosted_page):
    """A visitor with a checkpoint of a classifier, and its name."""
    visitor = hosted_page.visitor()
    visitor.http.get("/")
    name = hosted_page.app.served.visitors.name_in(visitor.http.cookies[COOKIE])
    run = submit(recipes.parse(SORTER), Store(hosted_page.home.seen_by(name)))
    return visitor, run_inline(run, hosted_page.home, should_stop=lambda: False).checkpoint


def film_bytes(folder: Path) -> bytes:
    pytest.importorskip("av", reason="video needs PyAV (pip install av)")
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    with video.Writer(folder / "film.mp4", 10) as writer:
        for _ in range(4):
            writer.write(Image.fromarray(pixels))
    return (folder / "film.mp4").read_bytes()


def uploaded(visitor, content: bytes, name: str) -> dict:
    path = visitor.http.post("/gradio_api/upload", files={"files": (name, content)}).json()[0]
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def test_a_film_is_watched_over_the_api_and_its_answer_is_its_visitors(owned, hosted_page, tmp_path):
    mine, checkpoint = owned
    remark, _, film, table, *_ = mine.call(
        "tool_watch_film", checkpoint, uploaded(mine, film_bytes(tmp_path), "f.mp4"), 2, False
    )
    assert "2 frames" in remark and table["value"]["data"]
    url = film["value"]["video"]["path"] if "video" in film["value"] else film["value"]["path"]
    assert mine.http.get(f"/gradio_api/file={url}").content[4:8] == b"ftyp"


def test_a_file_of_the_machine_is_not_opened(owned, tmp_path):
    mine, checkpoint = owned
    (tmp_path / "private.mp4").write_bytes(film_bytes(tmp_path))
    for path in (tmp_path / "private.mp4", "/etc/passwd"):
        kept = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        for endpoint, beside in (("tool_watch_film", (2, False)), ("predict", (3,))):
            with pytest.raises(Refused):
                mine.call(endpoint, checkpoint, kept, *beside)


def test_another_visitors_checkpoint_is_not_there_for_any_tool_or_button(owned, hosted_page, tmp_path):
    _, checkpoint = owned
    other = hosted_page.visitor()
    film, photo = uploaded(other, film_bytes(tmp_path), "f.mp4"), None
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    image = uploaded(other, (tmp_path / "image.png").read_bytes(), "image.png")
    no_such = pytest.raises(Refused, match="There (is|are) no checkpoint")
    for name in (checkpoint, checkpoint[:-3], "not-there"):
        with no_such:
            other.call("tool_watch_film", name, film, 2, False)
        for tool, inputs in (
            ("tool_compare", (photo, name)),
            ("tool_look_again", (photo, True, "1", "", name)),
            ("tool_teach", (photo, "noise")),
            ("tool_serve", (name, "builtin:digits?per_class=4")),
        ):
            with pytest.raises(Refused, match="There (is|are) no checkpoint|photo"):
                other.call(tool, name, *inputs)
        for endpoint, inputs in (("predict", (image, 3)), ("export", ("safetensors",))):
            with no_such:
                other.call(endpoint, name, *inputs)
        for handler, inputs in (("chosen", ()), ("write", ("safetensors",)), ("all_beside", ())):
            with no_such:
                other.press(handler, name, *inputs)
    assert checkpoint not in str(other.press("listing", None, page="tryit"))
