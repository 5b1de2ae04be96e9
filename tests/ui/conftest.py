"""Real servers on loopback, one a kind for all tests of the page over HTTP, and those who visit them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from studio.core.home import Home
from studio.ui import build_app


@dataclass
class Server:
    """A page being served."""

    home: Home
    url: str
    app: Any

    def visitor(self, **headers: str) -> "Visitor":
        """Somebody new, with a cookie jar of their own."""
        return Visitor(self, headers)


class Refused(Exception):
    """What the page answered instead."""


class Visitor:
    """Calls the page's endpoints as a script does, and its buttons as a page that was tampered with could."""

    def __init__(self, server: Server, headers: dict[str, str]) -> None:
        self.server = server
        self.http = httpx.Client(base_url=server.url, headers=headers, timeout=60)

    def call(self, name: str, *arguments: Any) -> Any:
        """The result, or the results, of a public endpoint. Raises Refused with its error."""
        begun = self.http.post(f"/gradio_api/call/{name}", json={"data": list(arguments)})
        if begun.status_code != 200:
            raise Refused(f"{begun.status_code} {begun.text}")
        outputs = self._listen(f"/gradio_api/call/{name}/{begun.json()['event_id']}")
        return outputs[0] if len(outputs) == 1 else outputs

    def press(self, handler: str, *inputs: Any, page: str = "") -> Any:
        """The outputs of the page's own handler of this name. Raises Refused with its error."""
        (number,) = [
            key for key, block in self.server.app.fns.items()
            if getattr(block.fn, "__name__", "") == handler and page in getattr(block.fn, "__module__", "")
        ][:1]  # fmt: skip
        body = {"data": list(inputs), "fn_index": number, "session_hash": f"s{id(self)}", "trigger_id": None}
        joined = self.http.post("/gradio_api/queue/join", json=body)
        if joined.status_code != 200:
            raise Refused(f"{joined.status_code} {joined.text}")
        with self.http.stream("GET", f"/gradio_api/queue/data?session_hash=s{id(self)}") as lines:
            for line in lines.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    if not message["success"]:
                        raise Refused(str(output.get("error")))
                    return output["data"]
        raise Refused("no answer")

    def _listen(self, path: str) -> Any:
        with self.http.stream("GET", path) as lines:
            event = ""
            for line in lines.iter_lines():
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:") and event in ("complete", "error"):
                    answer = json.loads(line[5:])
                    if event == "error":
                        raise Refused(str((answer or {}).get("error")))
                    return answer
        raise Refused("no answer")


def serving(home: Home, **options: Any) -> Iterator[Server]:
    app = build_app(home=home, **options)
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield Server(home, url.rstrip("/"), app)
    app.close()


@pytest.fixture(scope="module")
def hosted_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A page for strangers; nothing that is filed there is ever started: its queue has no keeper."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("studio.runs.queue.kick", lambda home: None)
        patch.setattr("studio.ui.actions.kick", lambda home: None)
        yield from serving(Home.find(tmp_path_factory.mktemp("hosted") / "home"), hosted=True)


@pytest.fixture(scope="module")
def local_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page of this machine's own user."""
    yield from serving(Home.find(tmp_path_factory.mktemp("local") / "home"))
