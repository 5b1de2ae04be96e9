"""The page beside a bare Gradio page of as many tabs: seconds to the first button, to a tab, and of a click.

    python benchmarks/page_speed.py [--rounds 7] [--pause 1] [--runs 2000] [--training]

Both are served by processes of their own and visited in turn in Chromium, each time as somebody who was never there.
The bare page has seven tabs, each with a text, a box and a button, and a first button that fills a box and opens a tab.
Seconds are of the browser's own clock: from when the page is asked for, or the mouse goes down, to the first frame in
which the part stands. The driver that moves the mouse looks through the page before and after each click and takes
longer for it than the page does; what it waited is told beside. Medians, their ratio, and the ratios of the rounds.
`--pause`: before each click they look at the page for so many seconds, as people do (0: a script, at once). `--runs`:
the home holds so many finished runs; `--training`: one more trains meanwhile on a core.
"""

import argparse
import importlib.util
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from studio.core import recipe as recipes
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.store import Store

ROOT = Path(__file__).resolve().parents[1]
TABS = ("Start", "Data", "Label", "Train", "Runs", "Try it", "Learn")
BARE = """
import sys
import gradio as gr
with gr.Blocks() as page:
    with gr.Tabs(selected="Start") as tabs:
        for name in {tabs}:
            with gr.Tab(name, id=name):
                gr.Markdown("# " + name)
                box = gr.Textbox(label="Name")
                button = gr.Button(name, elem_id="start-demo" if name == "Start" else "part-" + name.replace(" ", ""))
                if name == "Start":
                    first = button
                if name == "Train":
                    filled = box
    first.click(lambda: ("digits", gr.Tabs(selected="Train")), None, [filled, tabs])
page.launch(server_port=int(sys.argv[1]))
"""
#: what stands in a tab of ours once it can be used
PARTS = {
    "Data": "#data-use-boxes", "Label": "#label-begin-button", "Train": "#recipe-form", "Runs": "#runs-filter",
    "Try it": "#try-photo", "Learn": "#learn-page",
}  # fmt: skip


#: has `window.shown` become the moment of the first frame in which a part stands, counted from the page or a click
SEES = """
const stands = (part) => document.querySelector(part)?.checkVisibility({visibilityProperty: true});
const drawn = (then) => {  // once the frame that is about to be drawn is drawn
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = then;
  port2.postMessage(0);
};
const seen = (part, begun) => new Promise((done) => {
  const look = () => stands(part) ? drawn(() => done((performance.now() - begun) / 1000)) : requestAnimationFrame(look);
  requestAnimationFrame(look);
});
window.shown = seen("#start-demo", 0);
window.awaitClick = (part) => { window.shown = new Promise((done) =>
  addEventListener("pointerdown", ({timeStamp}) => seen(part, timeStamp).then(done), {capture: true, once: true})); };
"""
Waited = tuple[float, float]  # by the browser's clock and by the driver's


def bare_part(tab: str) -> str:
    return "#part-" + tab.replace(" ", "")


def visit(browser: Any, url: str, part: Callable[[str], str], pause: float) -> Iterator[tuple[str, Waited]]:
    """What a newcomer waits for, in seconds: the first button, each tab for the first time, the first card."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(SEES)
    page = context.new_page()
    page.set_default_timeout(60_000)

    def seconds(act: Callable[[], object], shown: str) -> Waited:
        begun = time.perf_counter()
        act()
        page.wait_for_selector(f"{shown}:visible")
        waited = time.perf_counter() - begun
        return page.evaluate("shown"), waited

    def clicked(head: Any, shown: str) -> Waited:
        page.wait_for_timeout(1000 * pause)
        page.evaluate("part => awaitClick(part)", shown)
        return seconds(head.click, shown)

    yield "first button", seconds(lambda: page.goto(url), "#start-demo")
    for tab in TABS[1:]:
        head = page.get_by_role("tab", name=tab, exact=True).element_handle()  # a full page has more to look through
        yield f"tab {tab}", clicked(head, part(tab))
    page.get_by_role("tab", name="Start", exact=True).click()
    yield "a click", clicked(page.query_selector("#start-demo"), part("Train"))
    context.close()


def file_runs(home: Home, count: int) -> None:
    """Finished runs of the quickstart preset, whose events were written by hand."""
    recipe = recipes.load("quickstart")
    for _ in range(count):
        run = Store(home).new_run(recipe)
        with run.hold(), EventWriter(run.events_path) as events:
            events.status("running")
            events.emit("metrics", metrics={"accuracy": 0.9})
            events.status("finished", seconds=1.0)


@contextmanager
def served(command: list[str], port: int) -> Iterator[str]:
    """A page of a process of its own, once it answers."""
    page_load = _benchmark("page_load")
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        page_load.wait_until_answered(server, port)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.kill()
        server.wait()


@contextmanager
def training(home: Home) -> Iterator[None]:
    """A network that learns in a process of its own for as long as the block lasts."""
    sets = ["--set", "data.train=builtin:digits", "--set", "train.epochs=9000"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "studio.cli", "run", "small-data-cnn", *sets],
        env={**os.environ, "STUDIO_HOME": str(home.root)}, cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(worker.pid, 9)
        worker.wait()


def _benchmark(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds before each click")
    parser.add_argument("--runs", type=int, default=0, help="finished runs that the home holds")
    parser.add_argument("--training", action="store_true", help="while one more run trains")
    parser.add_argument("--home", type=Path, help="a home that is kept, with the runs it has (default: a new one)")
    args = parser.parse_args()
    folder = args.home or Path(tempfile.mkdtemp(prefix="page-speed-", dir=Path.home()))
    home = Home.find(folder)
    file_runs(home, args.runs - len(list(home.runs.iterdir())))
    os.environ["STUDIO_HOME"], os.environ["PYTHONPATH"] = str(home.root), str(ROOT)
    try:
        report(measure(home, args.rounds, args.pause, args.training))
    finally:
        if args.home is None:
            shutil.rmtree(folder, ignore_errors=True)


def measure(home: Home, rounds: int, pause: float, train: bool) -> dict[str, list[tuple[Waited, Waited]]]:
    """Pairs of seconds, this page and the bare one, by what is waited for; a first visit of each is not counted."""
    from playwright.sync_api import sync_playwright

    pairs: dict[str, list[tuple[Waited, Waited]]] = defaultdict(list)
    ports = free_port(), free_port()
    studio = [sys.executable, "-c", _benchmark("page_load").SERVE, str(ports[0])]
    bare = [sys.executable, "-c", BARE.format(tabs=TABS), str(ports[1])]
    with ExitStack() as stack:
        urls = [stack.enter_context(served(*server)) for server in zip((studio, bare), ports, strict=True)]
        playwright = stack.enter_context(sync_playwright())
        path = os.environ.get("STUDIO_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--headless", "--no-sandbox"])
        if train:
            stack.enter_context(training(home))
        for number in range(rounds + 1):
            ours = visit(browser, urls[0], PARTS.__getitem__, pause)
            for (name, mine), (_, other) in zip(ours, visit(browser, urls[1], bare_part, pause), strict=True):
                if number:
                    pairs[name].append((mine, other))
        browser.close()
    return pairs


def report(pairs: dict[str, list[tuple[Waited, Waited]]]) -> None:
    print("| | this page, s | bare page, s | ratio | rounds | by the driver, s | ratio |")
    print("|---|---:|---:|---:|---|---:|---:|")
    for name, times in pairs.items():
        browser, driver = ([(mine[clock], bare[clock]) for mine, bare in times] for clock in (0, 1))
        mine, bare, ratio, spread = summary(browser)
        slow, beside, slower, _ = summary(driver)
        print(
            f"| {name} | {mine:.3f} | {bare:.3f} | {ratio:.2f} | {spread} | {slow:.2f}, {beside:.2f} | {slower:.2f} |"
        )


def summary(times: list[tuple[float, float]]) -> tuple[float, float, float, str]:
    """Medians of both sides and of their ratios, and from where to where these go."""
    mine, bare = (statistics.median(side) for side in zip(*times, strict=True))
    ratios = sorted(one / two for one, two in times)
    return mine, bare, statistics.median(ratios), f"{ratios[0]:.2f} to {ratios[-1]:.2f}"


if __name__ == "__main__":
    main()
