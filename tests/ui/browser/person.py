"""What a person does on the page, in the words of the tests."""

import importlib.util
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from studio.data import open_data, read_image
from studio.store.labelling import projects

ROOT = Path(__file__).resolve().parents[3]


def load_benchmark(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


page_forms = load_benchmark("page_forms")


def open_page(browser, url, width=1280, height=900, locale="en-US", **device):
    context = browser.new_context(viewport={"width": width, "height": height}, locale=locale, **device)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(url)
    page.wait_for_selector("#start-demo", state="attached")  # a link may open on another tab
    return page


def open_phone(browser, url, locale="en-US"):
    return open_page(browser, url, 390, 844, locale, has_touch=True, is_mobile=True, device_scale_factor=2)


class Fingers:
    """Touches of a part of the page, each at shares of its width and height."""

    def __init__(self, page, selector):
        page.evaluate("selector => document.querySelector(selector).scrollIntoView()", selector)
        self.page, self.area = page, page.locator(selector).bounding_box()
        self.session = page.context.new_cdp_session(page)

    def send(self, kind, *places):
        left, top, wide, high = (self.area[name] for name in ("x", "y", "width", "height"))
        points = [{"x": left + x * wide, "y": top + y * high, "id": number} for number, (x, y) in enumerate(places)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def tap(self, place):
        self.send("touchStart", place)
        self.send("touchEnd")

    def draw(self, start, end, steps=4):
        self.send("touchStart", start)
        for step in range(1, steps + 1):
            share = step / steps
            self.send("touchMove", [a + share * (b - a) for a, b in zip(start, end, strict=True)])
        self.page.wait_for_timeout(120)  # a finger that flicks away has its next tap taken for a stop of the flick
        self.send("touchEnd")

    def pinch(self, left, right, wider=0.1):
        """Two fingers, one a moment after the other, that move apart."""
        self.send("touchStart", left)
        self.send("touchStart", left, right)
        for step in range(1, 5):
            away = step * wider / 4
            self.send("touchMove", [left[0] - away, left[1]], [right[0] + away, right[1]])
        self.send("touchEnd")


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def phone_tab(page, name):
    """On a phone, what doesn't fit beside the first tabs is in a menu."""
    menu = page.locator("#tabs .overflow-menu").first
    menu.wait_for()
    if page.get_by_role("tab", name=name, exact=True).is_visible():
        return tab(page, name)
    menu.get_by_label("More tabs").click()
    menu.locator(".overflow-dropdown button").get_by_text(name, exact=True).click()


def wait_for_status(page, word, seconds=150):
    page.wait_for_function(
        "word => document.querySelector('#run-status')?.classList.contains(word)", arg=word, timeout=seconds * 1000
    )


def two_classes(folder, count):
    """Images of two classes, dark and light, each a list of files below a folder."""
    draw = np.random.default_rng(0)
    files = {}
    for label, level in (("dark", 40), ("light", 210)):
        files[label] = []
        for number in range(count):
            pixels = np.clip(draw.normal(level, 25, (48, 48, 3)), 0, 255).astype(np.uint8)
            path = folder / f"{label}{number}.png"
            Image.fromarray(pixels).save(path)
            files[label].append(str(path))
    return files


def ask(page, photo, hurried=False):
    """The likeliest of dark and light for a photo, as the page answers; the hurried do not wait for the whole page."""
    tab(page, "Try it")
    page.wait_for_function("document.querySelector('#try-checkpoint input')?.value.length > 0")
    if not hurried:
        page.wait_for_selector("#tool-teach")  # is made once the checkpoint is known
    page.set_input_files("#try-photo input[type=file]", photo)
    likeliest = page.wait_for_function(
        """names => {  // read in one look: the answer is drawn anew while it is being worked on
            const text = document.querySelector('#try-answer')?.innerText ?? '';
            const [first] = names.sort((a, b) => text.indexOf(a) - text.indexOf(b));
            return names.every(name => text.includes(name)) && first;
        }""",
        arg=["dark", "light"],
    )
    return likeliest.json_value()


def teach(page, label):
    """Shows the chosen checkpoint the photo as a `label`; the page goes on with the new one."""
    before = page.input_value("#try-checkpoint input")
    open_tool(page, "teach")
    page.fill("#tool-teach-label input", label)
    page.keyboard.press("Enter")
    page.click("#tool-teach-use")
    page.wait_for_selector("#tool-remark :text('It has learned')")
    page.wait_for_function("before => document.querySelector('#try-checkpoint input').value !== before", arg=before)
    page.wait_for_selector("#try-undo:visible")


def open_tool(page, tool):
    """Opens a tool of the chosen checkpoint: those of the one before are drawn until its own are there."""
    checkpoint = page.input_value("#try-checkpoint input").split("  ·  ")[-1]
    page.click(f"#tool-{tool}.of-{checkpoint} > button")


def mark_by_a_click(page):
    """Clicks on the photo, and asks what looks like that place; the sentence of the answer."""
    open_tool(page, "click")
    page.click("#try-photo img")  # its middle: a small photo does not fill its frame
    box = "document.querySelector('#tool-click-inside :is(input, textarea)')"
    page.wait_for_function(f"/^[0-9]+, [0-9]+$/.test({box}?.value)")
    page.click("#tool-click-use")
    page.wait_for_selector("#tool-image img")
    return page.inner_text("#tool-remark")


def images_of_run(page):
    """Waits until the run's images are there, and really drawn."""
    page.wait_for_function(
        "[...document.querySelectorAll('#run-figures img')].filter(image => image.naturalWidth > 0).length > 1"
    )


def numbers_of_run(page):
    """What the page says of a finished run's scores: in words, and no interval leaves what a share can be."""
    said = page.inner_text("#run-numbers")
    assert "_" not in said
    for interval in re.findall(r"\((\d\.\d+) – (\d\.\d+)\)", said):
        low, high = map(float, interval)
        assert 0 <= low < high <= 1
    return said


def curves_of_run(page):
    """The names of the losses and of the scores, which are drawn apart; none is cut off."""
    page.wait_for_selector("#run-losses svg")
    page.wait_for_selector("#run-scores svg")
    shown = page.evaluate(
        """() => ['#run-losses', '#run-scores'].map(part => {
            const {left, right} = document.querySelector(part).getBoundingClientRect();
            return [...document.querySelectorAll(`${part} li`)].map(name => {
                const box = name.getBoundingClientRect();
                return [name.innerText.trim(), left <= box.left && box.right <= right];
            });
        })"""
    )
    assert all(inside for names in shown for _, inside in names)
    return [{name for name, _ in names} for names in shown]


def begin_labelling(page, home, file, classes, kind=1, keep=False):
    """A new project on the Label page over an uploaded zip, with the labels that it has where they are to be kept."""
    tab(page, "Label")
    page.wait_for_selector("#label-begin:visible")
    if projects(home):  # their page closes the panel as it opens
        page.wait_for_selector("#label-begin-button", state="hidden")
        page.click("#label-begin > button")
    page.wait_for_selector("#label-begin-button:visible")
    page.set_input_files("#label-zip input[type=file]", file)
    page.wait_for_selector("#label-zip .file-preview, #label-zip [aria-label='Remove this file'], #label-zip table")
    page.click(f"#label-kind label:nth-of-type({kind})")
    page.set_checked("#label-keep input", keep)
    page.fill("#label-classes textarea, #label-classes input", classes)
    page.click("#label-begin-button")
    page.wait_for_selector("#label-progress:visible" if keep else "#label-canvas:visible")  # nothing may be left to do


def labelled(page, count):
    page.wait_for_selector(f"#label-progress:has-text('{count} of')")
    page.wait_for_selector("#label-desk :not(.busy) > .label-desk, #label-desk > .label-desk")


def individuals(folder, *names):
    """A folder each of so many drawn individuals, three images in each."""
    data = open_data(f"builtin:individuals?individuals={len(names)}&size=48&views=3&cameras=1&place=1")
    for number, item in enumerate(data.items):
        path = folder / names[item.label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        read_image(item.source, item.name).save(path)
    return sorted(folder.iterdir())


def use_tool(page, tool, film=None, opened=False, **texts):
    """Opens a tool below Try it, gives it its film, writes into its boxes, uses it; what it then says."""
    if not opened:
        open_tool(page, tool)
    if film:
        page.set_input_files(f"#tool-{tool}-film input[type=file]", film)
        page.wait_for_selector(f"#tool-{tool}-film :text('{film.name[:4]}')")
    for name, text in texts.items():
        page.fill(f"#tool-{tool}-{name} :is(input, textarea)", text)
        page.keyboard.press("Enter")
    if tool == "enrol":
        page.check("#tool-enrol-agreed input")
    said = "document.querySelector('#tool-remark p')?.innerText ?? ''"
    before = page.evaluate(said)
    page.click(f"#tool-{tool}-use")
    page.wait_for_function(f"before => ![before, ''].includes({said})", arg=before)
    return page.evaluate(said)


def zip_of(path, files):
    """A zip of files or bytes by their names in it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in files.items():
            archive.writestr(name, file if isinstance(file, bytes) else Path(file).read_bytes())
    return path


def by_class(files):
    """The files of `two_classes` by their names in a zip, a folder each class."""
    return {f"{label}/{Path(path).name}": path for label, paths in files.items() for path in paths}


def png_head(width, height):
    """A PNG that says how large it is, and ends where its pixels begin."""
    part = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = struct.pack(">I", 1000) + b"IDAT" + zlib.compress(bytes(40))
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + part + struct.pack(">I", zlib.crc32(part)) + pixels


def give_zip(page, path):
    """Gives a zip to Data, where another may lie already."""
    if page.is_visible("#data-zip [aria-label='Clear']"):
        page.click("#data-zip [aria-label='Clear']")
    page.set_input_files("#data-zip input[type=file]", path)


def write(page, field, text):
    """Writes into a field of the form, which may be folded away: what can't be seen can't be written into."""
    page.evaluate("id => document.getElementById(id).closest('details')?.setAttribute('open', '')", field)
    page.fill(f"#{field} input", text)


def pick(page, box, text):
    """Chooses what a list offers under these words."""
    page.click(f"#{box} input")
    page.locator(f"#{box} [role=option]:has-text('{text}')").click()


def offers(page, box, text, state="visible"):
    """Waits until a list offers something under these words, or with "detached" no longer does."""
    page.click(f"#{box} input")
    page.locator(f"#{box} [role=option]").first.wait_for()
    page.locator(f"#{box} [role=option]:has-text('{text}')").wait_for(state=state)
    page.keyboard.press("Escape")


def notice_after(page, button):
    """What the page says when a button is pressed."""
    for close in page.locator(".toast-close").all():
        close.click()
    page.wait_for_function("!document.querySelector('.toast-body')")
    page.click(button)
    return page.locator(".toast-body").first.inner_text()
