"""A served page and a real Chromium, for all tests in which somebody uses the page."""

import os
import shutil

import psutil
import pytest
from person import page_forms

from studio.core.home import Home

CHROMIUM = os.environ.get("STUDIO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",  # a webcam that sees a test card
]  # fmt: skip


@pytest.fixture(scope="module")
def outside_home():
    """A home where the default one is: neither in the working folder nor among temporary files."""
    folder = page_forms.outside_folder()
    home = Home.find(folder / "home")
    yield home
    end_processes(home)
    shutil.rmtree(folder)


def end_processes(home):
    """Ends the workers and keepers of a home: they outlive the page, and may still be writing."""
    while left := [process for process in psutil.process_iter() if works_for(process, home)]:
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=30)


def works_for(process, home):
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("STUDIO_HOME") == str(home.root)
    except psutil.Error:  # ended meanwhile, or somebody else's
        return False


@pytest.fixture(scope="module")
def served(outside_home):
    """That home and the address of its page."""
    with page_forms.served(outside_home) as url:
        yield outside_home, url


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (install one, or name it in STUDIO_CHROMIUM)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def browser(chromium):
    """Chromium, whose pages are closed after each test: an open one goes on asking the server."""
    yield chromium
    for context in chromium.contexts:
        context.close()
