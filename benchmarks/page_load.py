"""Twenty clients at once: how long the page, `list_presets` and `show_run` take, and what memory stays.

A real server on loopback with a home of its own and one finished run; each client goes round the three as
fast as it is answered, or with a pause. Nothing outside this machine is asked.

    python benchmarks/page_load.py --clients 20 --seconds 60
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import httpx
import psutil

from studio.core import recipe as recipes
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.store import Store

ROOT = Path(__file__).resolve().parents[1]
SERVE = "import sys; from studio.ui import serve; serve(port=int(sys.argv[1]))"


def finished_run(home: Home, scalars: int) -> str:
    """A run of the quickstart preset whose events were written by hand; its id."""
    run = Store(home).new_run(recipes.load("quickstart"))
    with run.hold(), EventWriter(run.events_path) as events:
        events.status("running")
        for step in range(scalars):
            events.scalar("train/loss", 1.0 / (step + 1), step)
        events.emit("metrics", metrics={"accuracy": 0.9})
        events.status("finished", seconds=1.0)
    return run.id


def serve(home: Home, port: int) -> subprocess.Popen:
    """A server process that answers."""
    env = {**os.environ, "STUDIO_HOME": str(home.root), "PYTHONPATH": str(ROOT)}
    with open(home.root / "server.log", "wb") as log:
        server = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], env=env, stdout=log, stderr=log)
    try:
        wait_until_answered(server, port)
    except SystemExit as silent:
        raise SystemExit(f"{silent}: {(home.root / 'server.log').read_text()[-2000:]}") from None
    return server


def wait_until_answered(server: subprocess.Popen, port: int, seconds: float = 180) -> None:
    """Raises SystemExit where the process ends, or doesn't answer in time; it is killed then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=30)
            return
        except httpx.HTTPError:
            time.sleep(0.3)
    server.kill()
    raise SystemExit("The server did not come up")


def call(client: httpx.Client, name: str, *values: object) -> object:
    """What an endpoint answers. Raises RuntimeError for an error."""
    event = client.post(f"/gradio_api/call/{name}", json={"data": list(values)}).raise_for_status().json()["event_id"]
    text = client.get(f"/gradio_api/call/{name}/{event}").raise_for_status().text
    kind, _, data = text.strip().splitlines()[-2:][0], "", text.strip().splitlines()[-1]
    if kind != "event: complete":
        raise RuntimeError(text[-300:])
    return json.loads(data.removeprefix("data: "))[0]


def visit(base: str, run: str, until: float, pause_s: float, most: int, times: dict, errors: list) -> None:
    """One client; `times` gets seconds by name."""
    rounds = {
        "page": lambda client: client.get("/").raise_for_status(),
        "list_presets": lambda client: call(client, "list_presets"),
        "show_run": lambda client: call(client, "show_run", run),
    }
    with httpx.Client(base_url=base, timeout=60) as client:
        for _ in range(most):
            for name, ask in rounds.items():
                if time.monotonic() > until:
                    return
                begun = time.monotonic()
                try:
                    ask(client)
                except (httpx.HTTPError, RuntimeError, ValueError, IndexError) as error:
                    errors.append(f"{name}: {error!r}"[:300])
                times[name].append(time.monotonic() - begun)
                time.sleep(pause_s)


def measure(base: str, run: str, clients: int, seconds: float, pause_s: float, most: int) -> tuple[dict, list]:
    times: dict[str, list[float]] = defaultdict(list)
    errors: list[str] = []
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=visit, args=(base, run, until, pause_s, most, times, errors)) for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds that a client waits between two requests")
    parser.add_argument("--rounds", type=int, default=2000, help="of each client, at most")
    parser.add_argument("--scalars", type=int, default=5000, help="points of the run's curve")
    parser.add_argument("--port", type=int, default=7987)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home.find(folder)
        run = finished_run(home, args.scalars)
        server = serve(home, args.port)
        try:
            base, memory = f"http://127.0.0.1:{args.port}", psutil.Process(server.pid).memory_info
            measure(base, run, args.clients, 5.0, args.pause, 5)  # what is made at the first call is made
            before = memory().rss
            times, errors = measure(base, run, args.clients, args.seconds, args.pause, args.rounds)
            after = memory().rss
        finally:
            server.terminate()
            server.wait(30)
    for name, seconds in times.items():
        p95 = statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
        print(f"{name:14} {len(seconds):6} calls   median {statistics.median(seconds):.3f} s   p95 {p95:.3f} s")
    print(f"errors {len(errors)} {errors[:3] or ''}")
    print(f"server memory {before / 2**20:.0f} MB, then {after / 2**20:.0f} MB ({(after - before) / 2**20:+.0f})")


if __name__ == "__main__":
    main()
