"""What many visitors cost: sessions are lean and few, the page's first answer is kept, and is nobody's own."""

import asyncio
import gzip
import json
import re
import sys
from pathlib import Path

import httpx
import pytest

from studio.core import recipe as recipes
from studio.runs.export import WRITERS
from studio.store import Store
from studio.ui import build_app
from studio.ui.kept_assets import KeptAssets
from studio.ui.kept_page import MOST, KeptPage
from studio.ui.lean_page import lean
from studio.ui.sessions import LeanConfig
from studio.ui.whole_answers import SMALLEST

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from studio.core.home import Home

    home = Home.find(tmp_path_factory.mktemp("load") / "home")
    app = build_app(home=home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradio.networking.url_ok", lambda url: False)  # a machine too busy to answer itself
        _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", state_session_capacity=5)
    with httpx.Client(base_url=url, timeout=60) as client:
        yield home, app, client
    app.close()


def test_sessions_hold_no_copy_of_the_page_and_the_oldest_go(served):
    from page_load import call

    home, app, client = served
    run = Store(home).new_run(recipes.load("quickstart")).id
    for _ in range(12):
        assert call(client, "show_run", run)["status"] == "queued"
    sessions = app.state_holder.session_data
    assert 0 < len(sessions) <= 5
    for session in sessions.values():
        assert isinstance(session.blocks_config, LeanConfig)
        assert not any(session.config_values.values())


def test_a_machine_that_was_too_busy_to_ask_its_own_page_serves_it(served):
    assert served[2].get("/").status_code == 200


def test_scripts_can_have_a_checkpoint_in_every_format_that_the_command_line_writes(served):
    formats = next(part for part in served[1].config["components"] if part["props"].get("elem_id") == "api-format")
    assert [name for _, name in formats["props"]["choices"]] == list(WRITERS)


def test_the_page_itself_is_described_in_full(served):
    _, app, client = served
    assert '"elem_id":"train-start"' in client.get("/").text.replace(" ", "")
    assert all(component["props"] for component in app.config["components"] if component["type"] == "button")


def test_the_page_is_the_same_at_the_second_asking_and_names_the_address_it_was_asked_under(served):
    _, _, client = served
    first = client.get("/")
    assert client.get("/").text == first.text
    other = client.get("/", headers={"host": "127.0.0.1:1"}).text
    assert "127.0.0.1:1" in other and "127.0.0.1:1/" not in first.text.replace(str(client.base_url), "")


def test_the_page_is_sent_without_what_serves_scripts_alone_which_its_api_docs_have(served):
    _, app, client = served
    whole, lean = client.get("/?view=api").text, client.get("/").text
    assert len(lean) < 0.75 * len(whole)
    assert '"list_presets"' in whole and "api_info_as_input" in whole and '"list_presets"' not in lean
    config = json.loads(re.search(r"window\.gradio_config = (.*?);</script>", lean)[1])
    here, events = {component["id"] for component in config["components"]}, config["dependencies"]
    here |= {config["layout"]["id"]}
    assert all({*event["inputs"], *event["outputs"]} <= here for event in events)
    assert {number for event in events for number, _ in event["targets"] if number} <= here
    assert {event["id"] for event in events} == {
        event["id"] for event in app.config["dependencies"] if event["targets"]
    }


def test_where_the_page_is_shared_its_preview_tells_of_the_studio(served):
    _, _, client = served
    named = r'<meta\s+(?:property|name)="((?:og|twitter):\w+|description)"\s+content="(.*?)"'
    metas = re.findall(named, client.get("/").text)
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    about = re.search(r"short_description: (.*)", readme)[1]
    assert metas == [
        ("og:type", "website"), ("og:title", "Transfer Studio"), ("og:description", about), ("description", about),
        ("twitter:card", "summary"),
    ]  # fmt: skip


def test_what_is_no_page_is_left_as_it_is():
    for html in (b"", b"<p>hello", b'<script>window.gradio_config = {"auth_required":true};</script>'):
        assert lean(html) == html


def asked(app, path="/", query=b"", **headers):
    """The body that an ASGI app answers."""
    parts = []

    async def send(message):
        parts.append(message.get("body", b""))

    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": query, "scheme": "http", "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    asyncio.run(app(scope, None, send))
    return b"".join(parts)


def counting(status=200, tail=b"", **start):
    """An ASGI app that answers how often it was asked, and a tail."""
    count = 0

    async def app(scope, receive, send):
        nonlocal count
        count += 1
        await send({"type": "http.response.start", "status": status, "headers": [], **start})
        await send({"type": "http.response.body", "body": str(count).encode() + tail})

    return app


def test_only_what_is_the_same_for_all_is_kept():
    app = KeptPage(counting())
    assert [asked(app, host="a"), asked(app, host="a"), asked(app, host="b")] == [b"1", b"1", b"2"]
    assert asked(app, host="a", cookie="access-token-unsecure-x=1") == b"3"
    assert asked(app, host="a", cookie="colour=blue") == b"1"
    assert asked(app, host="a", authorization="x") == b"4"
    assert asked(app, query=b"view=api", host="a") == b"5"
    assert asked(app, query=b"run=x&deep_link=y", host="a") == b"6"
    assert asked(app, path="/config", host="a") == b"7"
    assert asked(app, host="a") == b"1"


def test_a_link_to_a_run_opens_the_page_that_all_are_sent(served):
    _, _, client = served
    assert client.get("/?run=20261201-120000-lp-ft-1a2b").text == client.get("/").text
    app = KeptPage(counting())
    assert asked(app, query=b"run=1&__theme=dark", host="a") == asked(app, query=b"run=2", host="a") == b"1"


def test_a_script_of_the_page_is_packed_once_and_kept():
    text = [(b"content-type", b"text/javascript")]
    app = KeptAssets(counting(headers=text, tail=b" " * SMALLEST))
    plain = asked(app, path="/assets/a.js")
    assert plain.strip() == b"1" and asked(app, path="/assets/a.js") == plain
    packed = asked(app, path="/assets/a.js", **{"accept-encoding": "gzip, br"})
    assert len(packed) < SMALLEST and gzip.decompress(packed).strip() == b"2"
    assert asked(app, path="/assets/a.js", **{"accept-encoding": "gzip"}) == packed
    assert asked(app, path="/assets/a.js", **{"if-none-match": "x"}).strip() == b"3"  # the server knows what changed
    assert asked(app, path="/assets/b.js").strip() == b"4"
    assert asked(app, path="/file=a.js").strip() == b"5" and asked(app, path="/file=a.js").strip() == b"6"


def test_a_script_that_is_not_there_is_not_kept():
    app = KeptAssets(counting(404))
    assert [asked(app, path="/assets/a.js"), asked(app, path="/assets/a.js")] == [b"1", b"2"]


def test_errors_and_answers_that_set_cookies_are_not_kept():
    for app in (KeptPage(counting(500)), KeptPage(counting(headers=[(b"Set-Cookie", b"a=b")]))):
        assert [asked(app, host="a"), asked(app, host="a")] == [b"1", b"2"]


def test_a_stranger_who_makes_up_addresses_fills_nothing():
    app = KeptPage(counting())
    for number in range(5 * MOST):
        asked(app, host=f"h{number}")
    assert len(app._kept) == MOST
