"""Nothing is lost with a server, and nothing is shown to another visitor."""

import socket

import psutil
import pytest
from person import load_benchmark, open_page, page_forms, tab, wait_for_status

from studio.ui import build_app

page_load = load_benchmark("page_load")


@pytest.mark.slow
def test_a_run_outlives_the_server_that_was_killed_and_the_next_one_shows_and_stops_it(browser, outside_home):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = page_load.serve(outside_home, port)
    try:
        page = open_page(browser, f"http://127.0.0.1:{port}/")
        tab(page, "Train")
        page_forms.choose_preset(page, "small-data-cnn")
        page.fill("#field-data-train input", "builtin:digits?per_class=4")
        page.fill("#field-train-epochs input", "9000")
        page.click("#train-start")
        wait_for_status(page, "running")
        run = page.inner_text("#run-state code")
        page.reload()  # in mid-training: it opens on Start, with what runs above every tab
        page.wait_for_selector("#run-banner .banner:visible")
        tab(page, "Train")
        wait_for_status(page, "running")
        assert page.inner_text("#run-state code") == run
        page.wait_for_function("document.querySelector('#field-train-epochs input')?.value === '9000'")
        server.kill()
        server.wait()
        server = page_load.serve(outside_home, port)
        page.goto(f"http://127.0.0.1:{port}/?run={run}")
        wait_for_status(page, "running")
        page.click("#train-stop")
        wait_for_status(page, "stopped")
        assert page.inner_text("#run-state code") == run
    finally:
        server.kill()
        for worker in psutil.process_iter(["environ"]):
            if (worker.info["environ"] or {}).get("STUDIO_HOME") == str(outside_home.root):
                worker.kill()


@pytest.mark.slow
def test_two_visitors_of_a_hosted_page_have_each_their_own(browser, outside_home):
    app = build_app(home=outside_home, hosted=True)
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        ann, bob = open_page(browser, url), open_page(browser, url)
        ann.click("#start-demo")
        ann.wait_for_selector("#train-start:visible")
        ann.click("#train-start")
        wait_for_status(ann, "finished")
        run = ann.inner_text("#run-state code")
        tab(ann, "Runs")
        ann.wait_for_selector(f"#runs-table tr[data-run='{run}']")
        bob.goto(f"{url}?run={run}")
        bob.wait_for_selector(f"text=There is no run '{run}'")
        assert bob.locator("#run-numbers").count() == 0
        tab(bob, "Runs")
        bob.wait_for_selector("#runs-filter:visible")
        assert bob.locator("#runs-table tr[data-run]").count() == 0
        tab(bob, "Try it")
        bob.wait_for_selector("#try-photo:visible")
        assert bob.input_value("#try-checkpoint input") == ""
        ann.reload()
        tab(ann, "Runs")
        ann.wait_for_selector(f"#runs-table tr[data-run='{run}']")
    finally:
        app.close()
