"""What the form shows is what runs: every field of every preset, filled in Chromium while the machine is busy.

    python benchmarks/page_forms.py [--times 200] [--busy 2] [--chromium /usr/bin/chromium]

Each time a preset is chosen, every one of its fields gets another value (typed without a pause, pasted, set by a
script with and without its events, in turn), Start is pressed at once, and the recipe in the filed run is compared
with what the screen shows. Runs are filed and not carried out. Prints a line a difference, then `N of N`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_origin
from unittest import mock

import yaml

from studio.core import recipe as recipes
from studio.core.errors import StudioError
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.runs.runner import wants_ranks
from studio.store import Store
from studio.ui import build_app, forms

WAYS = ("typed", "pasted", "script", "script without events")
#: every field on the screen: its key, its kind, what it shows
SHOWN = """() => [...document.querySelectorAll('#recipe-form .field :is(input, select)')].map(entry => ({
    key: entry.dataset.key, id: entry.id, kind: entry.tagName === 'SELECT' ? 'select' : entry.type,
    shows: entry.type === 'checkbox' ? entry.checked : entry.value,
    options: entry.tagName === 'SELECT' ? [...entry.options].map(option => option.value) : [],
}))"""
SCRIPT = """([id, value, events]) => {
    const entry = document.getElementById(id);
    if (entry.type === 'checkbox') entry.checked = value; else entry.value = value;
    if (events) for (const kind of ['input', 'change']) entry.dispatchEvent(new Event(kind, {bubbles: true}));
}"""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but work, for as long as the block lasts."""
    workers = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


@contextmanager
def filing_only() -> Iterator[list[str]]:
    """Ids of the runs that pages of this process file in the meantime; none of them is carried out."""
    filed: list[str] = []
    with mock.patch("studio.ui.actions.enqueue", lambda run, *args, **options: filed.append(run.id)):
        yield filed


@contextmanager
def served(home: Home) -> Iterator[str]:
    """The address of a page of this home."""
    app = build_app(home=home)
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        yield url
    finally:
        app.close()


def open_form(browser: Any, url: str) -> Any:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(90_000)
    page.goto(url)
    page.get_by_role("tab", name="Train", exact=True).click()
    page.wait_for_selector("#recipe-form")
    return page


def fill_and_start(page: Any, preset: str, way: str, filed: list[str], store: Store) -> list[str]:
    """Fills every field of a preset in one way and starts it: what then differs, a line each."""
    choose_preset(page, preset)
    texts = new_texts(page, preset)
    for entry in page.evaluate(SHOWN):
        if entry["key"] in texts:
            enter(page, entry, texts[entry["key"]], way)
    shown = {entry["key"]: entry["shows"] for entry in page.evaluate(SHOWN)}
    lost = [f"{key}: {shown[key]!r} on the screen after {text!r}" for key, text in texts.items() if shown[key] != text]
    count = len(filed)
    page.evaluate("document.querySelectorAll('.toast-body').forEach(toast => toast.remove())")
    page.click("#train-start")
    for _ in range(900):
        if len(filed) > count:
            return lost + differences(store.run(filed[-1]).recipe(), shown)
        if refusal := page.query_selector(".toast-body.error"):
            return [*lost, f"refused: {refusal.inner_text()}"]
        page.wait_for_timeout(100)
    return [*lost, "nothing was filed"]


def choose_preset(page: Any, preset: str) -> None:
    stamp = "document.querySelector('#recipe-form').dataset.stamp"
    before = page.locator("#recipe-form").get_attribute("data-stamp")  # waits until the form is there
    page.click("#train-preset input")
    page.locator(f"[role=option][aria-label^='{preset}  ·']").click()
    page.wait_for_function(f"before => {stamp} !== before", arg=before)


def new_texts(page: Any, preset: str) -> dict[str, str | bool]:
    """Another value for each field of the form, as far as the recipe takes it."""
    values = recipes.read_yaml(recipes.find_preset(preset))
    method, texts = values["method"], {}
    screen = forms.screen_of(values)
    for entry in page.evaluate(SHOWN):
        key = entry["key"]
        for text in candidates(entry, forms.field_of(key, method).annotation):
            tried = forms.Screen(method, texts={**screen.texts, **texts, key: text})
            try:
                wants_ranks(recipes.parse(forms.values_of(tried)))
            except StudioError:
                continue
            texts[key] = text
            break
    return texts


def candidates(entry: dict[str, Any], annotation: Any) -> list[str | bool]:
    """Values to try in a field, by what it takes: none of them is what it shows."""
    key, shows, kinds = entry["key"], entry["shows"], recipes.members_of(annotation)
    if entry["kind"] == "checkbox":
        return [not shows]
    if entry["kind"] == "select":
        return [option for option in entry["options"] if option != shows]
    if key.startswith("data."):
        return [f"folder:/photos/of my cat's é {key[5:]} & more"]
    if int in kinds:
        return ["112", "25", "7", "2", "1"]
    if float in kinds:
        return ["0.0035", "0.57", "1.25", "3"]
    if get_origin(annotation) is list:
        return [*(["0.75, 1.0, 1.25"] if key == "eval.scales" else []), "a-1, b-2"]
    return ["timm/resnet18?random"] if key == "model.backbone" else ["Run 7 of mine", "cpu"]


def enter(page: Any, entry: dict[str, Any], text: str | bool, way: str) -> None:
    """Puts a value into a field as a person in a hurry, a clipboard or a script would."""
    at = f"[id='{entry['id']}']"
    page.evaluate("id => document.getElementById(id).closest('details')?.setAttribute('open', '')", entry["id"])
    if way.startswith("script"):
        page.evaluate(SCRIPT, [entry["id"], text, way == "script"])
    elif entry["kind"] == "checkbox":
        page.click(at)
    elif entry["kind"] == "select":
        page.select_option(at, text)
    else:
        page.click(at)
        page.keyboard.press("Control+A")
        if way == "pasted":
            page.evaluate("text => navigator.clipboard.writeText(text)", text)
            page.keyboard.press("Control+V")
        else:
            page.keyboard.type(str(text))


def differences(recipe: Recipe, shown: dict[str, Any]) -> list[str]:
    """Where a filed recipe isn't what the screen showed, read here without the page's own code."""
    values = {**recipe.model_dump(), "params": recipe.method_params().model_dump()}
    lines = []
    for key, text in shown.items():
        filed: Any = values
        for part in key.split("."):
            filed = filed[part]
        if not says(text, filed):
            lines.append(f"{key}: the screen shows {text!r}, {filed!r} was filed")
    return lines


def says(text: Any, value: Any) -> bool:
    """Whether a text on the screen says a value."""
    if value is None or isinstance(value, bool) or isinstance(text, bool):
        return text == ("" if value is None else value)
    if isinstance(value, (int, float)):
        return float(text) == value
    if isinstance(value, list):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return len(parts) == len(value) and all(map(says, parts, value))
    return (yaml.safe_load(text or "{}") if isinstance(value, dict) else text) == value


def outside_folder() -> Path:
    """A new folder outside the working and the temp folder, as the default home is; the caller removes it."""
    temp, here = Path(tempfile.gettempdir()).resolve(), Path.cwd().resolve()
    for parent in (Path("/var/tmp"), Path.home(), here.parent):
        inside = any(place == parent or place in parent.resolve().parents for place in (temp, here))
        if parent.is_dir() and os.access(parent, os.W_OK) and not inside:
            return Path(tempfile.mkdtemp(prefix="transfer-studio-", dir=parent))
    raise SystemExit("No folder outside the working and the temp folder can be written.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--busy", type=int, default=os.cpu_count(), help="processes that keep the machine busy")
    parser.add_argument("--chromium", default=os.environ.get("STUDIO_CHROMIUM") or shutil.which("chromium"))
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    folder = outside_folder()
    home = Home.find(folder / "home")
    presets, same, fields, begun = sorted(recipes.presets()), 0, 0, time.monotonic()
    try:
        with served(home) as url, filing_only() as filed, busy(args.busy), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=args.chromium, args=["--headless", "--no-sandbox"])
            page = open_form(browser, url)
            for number in range(args.times):
                preset, way = presets[number % len(presets)], WAYS[(number + number // len(presets)) % len(WAYS)]
                faults = fill_and_start(page, preset, way, filed, Store(home))
                fields += len(page.evaluate(SHOWN))
                same += not faults
                for line in faults:
                    print(f"{number} {preset}, {way}: {line}", flush=True)
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{same} of {args.times} (fields: {fields}, seconds: {time.monotonic() - begun:.0f})")


if __name__ == "__main__":
    main()
