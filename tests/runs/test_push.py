"""An export onto the hub: a stand-in hub on this machine takes what huggingface_hub's real client sends."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gradio as gr
import pytest

from studio import run
from studio.cli import main
from studio.core.errors import HubError, UsageError
from studio.runs.push import push
from studio.ui import build_app

TOKEN = "hf_standInTokenThatMustNeverBeSeen"


class Hub(BaseHTTPRequestHandler):
    """The few answers of the hub that an upload needs; every file goes into the commit itself."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer(200, {"id": "me/model", "private": self.server.private, "sha": "0" * 40, "siblings": []})

    def do_POST(self):
        body = self._body()
        self.server.seen.append((self.path, self.headers.get("Authorization"), body))
        if self.server.refuse:
            self._answer(self.server.refuse, {"error": "no"})
        elif self.path.endswith("/create"):
            self.server.asked = json.loads(body)
            self._answer(200, {"url": f"{self.server.address}/me/model", "id": "me/model"})
        elif "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        elif "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines()]
            self.server.files = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            self._answer(200, {"success": True, "commitOid": "1" * 40, "commitUrl": f"{self.server.address}/c/1"})
        else:
            self._answer(200, {"errors": [], "warnings": []})

    def _body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, code, values):
        data = json.dumps(values).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.seen, server.files, server.asked, server.private, server.refuse = [], {}, {}, True, 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # the stand-in is on this machine
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)  # read once, when it was imported
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    (path / "config.json").write_text('{"a": 1}')
    (path / "model.safetensors").write_bytes(bytes(range(256)))
    return path


def test_every_file_arrives_in_a_private_repository_with_the_token_in_the_header_alone(hub, folder):
    assert push(folder, "me/model") == f"{hub.address}/me/model"
    assert hub.asked.get("private") is True or hub.asked.get("visibility") == "private"
    assert hub.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {header for _, header, _ in hub.seen} == {f"Bearer {TOKEN}"}
    assert all(TOKEN not in path and TOKEN.encode() not in body for path, _, body in hub.seen)


def test_a_public_repository_is_pushed_to_only_when_that_was_said(hub, folder):
    hub.private = False
    with pytest.raises(UsageError, match="already and public"):
        push(folder, "me/model")
    assert not hub.files
    push(folder, "me/model", public=True)
    assert hub.files


@pytest.mark.parametrize(("code", "words"), [(401, "refused the token"), (403, "write access"), (422, "answered 422")])
def test_a_refusal_is_one_sentence_without_the_token(hub, folder, code, words):
    hub.refuse = code
    with pytest.raises(HubError, match=words) as caught:
        push(folder, "me/model")
    assert TOKEN not in str(caught.value) and caught.value.__cause__ is None and "\n" not in str(caught.value)


def test_without_a_hub_a_token_or_a_name_one_sentence_says_so(hub, folder, monkeypatch):
    hub.shutdown()
    hub.server_close()
    with pytest.raises(HubError, match="can't be reached") as caught:
        push(folder, "me/model")
    assert TOKEN not in str(caught.value) and str(folder) in str(caught.value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        push(folder, "me/model")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UsageError, match="set HF_TOKEN"):
        push(folder, "me/model")
    with pytest.raises(UsageError, match="expected ORG/NAME, found 'model'"):
        push(folder, "model")


@pytest.fixture
def checkpoint(home):
    recipe = {
        "method": "finetune/linear-probe",
        "model": {"backbone": "studio/conv4", "image_size": 16},
        "data": {"train": "builtin:digits?per_class=4"},
    }
    return run(recipe, home=home).checkpoint


def test_the_page_pushes_as_the_command_does_and_never_shows_the_token(hub, home, checkpoint):
    send = handler(build_app(home=home, hosted=False), "send")
    said = send(checkpoint, "safetensors", " me/model ", False, None)
    assert f"{hub.address}/me/model" in said and "model.safetensors" in hub.files and TOKEN not in said
    assert hub.asked.get("private") is True or hub.asked.get("visibility") == "private"
    hub.refuse = 403
    with pytest.raises(gr.Error, match="refused the token") as caught:
        send(checkpoint, "safetensors", "me/model", False, None)
    assert TOKEN not in str(caught.value)
    with pytest.raises(gr.Error, match="expected ORG/NAME, found ''"):
        send(checkpoint, "safetensors", "", False, None)


def test_a_page_hosted_for_others_never_pushes_with_its_owners_token(hub, home, checkpoint):
    send = handler(build_app(home=home, hosted=True), "send")
    with pytest.raises(gr.Error, match="hosted page pushes nothing"):
        send(checkpoint, "safetensors", "me/model", False, None)
    assert not hub.seen


def handler(page, name):
    """What the page calls, by the name of its function."""
    return next(one.fn for one in page.fns.values() if getattr(one.fn, "__name__", "") == name)


def test_the_command_exports_and_pushes_in_one_go_and_asks_for_the_token_first(
    hub, home, checkpoint, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    export = ["export", checkpoint, "--out", str(tmp_path / "out"), "--json"]
    assert main([*export, "--push", "me/model"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[-1])["url"] == f"{hub.address}/me/model"
    assert {"model.safetensors", "README.md", "manifest.json"} <= set(hub.files)
    kept = [path for path in [*home.root.rglob("*"), *tmp_path.rglob("*")] if path.is_file()]
    assert TOKEN not in said.out + said.err and not any(TOKEN.encode() in path.read_bytes() for path in kept)
    monkeypatch.delenv("HF_TOKEN")
    export[3] = str(tmp_path / "never")
    assert main([*export, "--push", "me/model"]) == 2 and not (tmp_path / "never").exists()
    assert main([*export, "--public"]) == 2
