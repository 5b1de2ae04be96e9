"""Screenshots of every tab of the page, in both languages.

    python docs/screenshots.py [--width 1440] [--dark] [--out docs/screens]

The page is served from a home of its own with the demo's two runs and something to label, and each tab is used first,
so that it has something to show. Needs a Chromium (named in STUDIO_CHROMIUM, or found as `chromium`) and Playwright's
Python package.
"""

import argparse
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from studio.core import recipe as recipes
from studio.core.home import Home
from studio.data import open_data, read_image
from studio.label.desk import start
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store
from studio.ui import build_app

TABS = ("start", "data", "label", "train", "runs", "try", "learn")
HEIGHT = 900
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
#: nothing shows that it is being worked on
IDLE = """![...document.querySelectorAll('.wrap.full, .wrap.minimal')]
    .some(sign => !sign.matches('.hide') && sign.checkVisibility())"""


def shoot(out: Path, width: int, dark: bool = False) -> list[Path]:
    """One file a tab and language, `TAB-LANGUAGE.png`, each as tall as its tab."""
    files = []
    with served_home() as (home, url, run), chromium() as browser:
        for language, locale in LANGUAGES.items():
            window = {"viewport": {"width": width, "height": HEIGHT}, "color_scheme": "dark" if dark else "light"}
            page = browser.new_context(locale=locale, **window).new_page()
            page.set_default_timeout(60_000)
            page.goto(f"{url}?run={run}")
            page.wait_for_selector("#run-status.finished, #run-status .finished", state="attached")
            for number, name in enumerate(TABS):
                open_tab(page, "#tabs", number)
                USES.get(name, lambda page, home: None)(page, home)
                files.append(save(whole(page, width), out / f"{name}-{language}.png"))
    return files


def open_tab(page: Any, tabs: str, number: int) -> None:
    """Where the window is too narrow for all tabs, the last are in a menu; they move there once they are measured."""
    places = ":is(.tab-container:not(.visually-hidden), .overflow-dropdown)"
    page.locator(f"{tabs} > .tab-wrapper {places} > button").nth(number).dispatch_event("click")


def whole(page: Any, width: int) -> bytes:
    """A window as tall as the tab, for what lies below it is fetched once it is scrolled to."""
    page.wait_for_function(IDLE)
    page.set_viewport_size({"width": width, "height": page.evaluate("document.documentElement.scrollHeight")})
    page.wait_for_function("[...document.images].every(image => image.complete || !image.offsetParent)")
    screenshot = page.screenshot(full_page=True)
    page.set_viewport_size({"width": width, "height": HEIGHT})
    return screenshot


def save(screenshot: bytes, path: Path) -> Path:
    """A fifth of the bytes: a page has few colours."""
    with Image.open(io.BytesIO(screenshot)) as image:
        image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


def check_scenes(page: Any, home: Home) -> None:
    open_tab(page, "#data-ways", 2)
    page.fill("#data-spec input", "builtin:scenes?images=12&classes=3")
    page.keyboard.press("Enter")
    page.click("#data-use-spec")
    page.wait_for_selector("#report-card")


def ask_a_digit(page: Any, home: Home) -> None:
    item = open_data("builtin:digits").items[4]
    file = home.root / "digit.png"
    read_image(item.source, item.name).resize((256, 256)).save(file)
    page.wait_for_selector("[id^=tool-] button")  # the checkpoint is known; a photo that is given before is asked twice
    page.set_input_files("#try-photo input[type=file]", str(file))
    page.wait_for_function("document.querySelector('#try-answer')?.innerText.includes('%')")


def draw_a_box(page: Any, home: Home) -> None:
    page.wait_for_selector("#label-canvas:visible")
    canvas = page.locator("#label-canvas").bounding_box()
    corners = [(canvas["x"] + share * canvas["width"], canvas["y"] + share * canvas["height"]) for share in (0.2, 0.6)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(*corners[1], steps=4)
    page.mouse.up()


def compare_the_runs(page: Any, home: Home) -> None:
    for row in Store(home).runs():
        page.check(f"#runs-table tr[data-run='{row['run']}'] input")
    page.wait_for_selector("#runs-numbers tr")


def read_a_method(page: Any, home: Home) -> None:
    page.wait_for_selector("#learn-page h2")


USES: dict[str, Callable[[Any, Home], None]] = {
    "data": check_scenes, "label": draw_a_box, "try": ask_a_digit, "runs": compare_the_runs,
    "learn": read_a_method,
}  # fmt: skip


@contextmanager
def served_home() -> Iterator[tuple[Home, str, str]]:
    """A home with two runs and a labelling project, the address of its page, and the id of the last run."""
    folder = Path(tempfile.mkdtemp(prefix="screenshots-", dir=Path.home()))
    home = Home.find(folder)
    app = build_app(home=home)
    try:
        for preset in ("quickstart", "quickstart-tuned"):
            result = run_inline(submit(recipes.load(preset, home=home), Store(home)), home)
        begin_labelling(home)
        _, url, _ = app.launch(prevent_thread_lock=True, quiet=True)
        yield home, url, result.run
    finally:
        app.close(verbose=False)
        shutil.rmtree(folder, ignore_errors=True)


def begin_labelling(home: Home) -> None:
    """A project of eight scenes, the first two of which have their boxes."""
    scenes, folder = open_data("builtin:scenes?images=8&classes=2"), home.root / "scenes"
    folder.mkdir()
    for number, item in enumerate(scenes.items):
        read_image(item.source, item.name).save(folder / f"{number}.png")
    desk = start("scenes", f"images:{folder}", "boxes", scenes.classes, home=home)
    for number, item in enumerate(scenes.items[:2]):
        rows = zip(item.boxes.labels.tolist(), item.boxes.xyxy.tolist(), strict=True)
        boxes = [[scenes.classes[label], *corners] for label, corners in rows]
        desk.mark(f"{number}.png", {"size": list(desk.size(f"{number}.png")), "boxes": boxes})


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = os.environ.get("STUDIO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1440, help="of the window, pixels")
    parser.add_argument("--dark", action="store_true", help="as a browser shows it that asks for the dark")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "screens", help="folder for the files")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    print(f"{len(shoot(args.out, args.width, args.dark))} screenshots in {args.out}")


if __name__ == "__main__":
    main()
