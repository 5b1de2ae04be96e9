"""Tools: what can be done with a checkpoint beyond predicting, from the command line and on the page alike."""

import json
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from gradio.context import LocalContext
from gradio.state_holder import SessionState
from PIL import Image
from pydantic import Field

from studio import cli
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.tool import Bench, Tool, ToolInputs, ToolResult
from studio.data.files import video
from studio.runs.executors import run_inline
from studio.runs.predict import load_checkpoint, teach_checkpoint
from studio.runs.runner import submit
from studio.runs.tools import described, fitting, tool_named, tools, use
from studio.store import Store
from studio.ui import build_app
from studio.ui.catalogue import words
from studio.ui.pages.tools import add_point

REQUEST = SimpleNamespace(headers={"accept-language": "en"}, query_params={}, cookies={})
SMALL = {
    "task": "detect", "method": "detect/fcos", "device": "cpu",
    "model": {"image_size": 64, "backbone": "timm/resnet18?random"},
    "data": {"train": "builtin:scenes?images=6&size=64&classes=2"}, "params": {"width": 32, "depth": 1},
    "train": {"epochs": 1, "batch_size": 3},
}  # fmt: skip
SORTER = {
    "method": "fewshot/prototypes", "device": "cpu", "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=4"}, "eval": {"ways": 3, "shots": 1, "queries": 1, "episodes": 2},
}  # fmt: skip
TRAINED = {
    "method": "finetune/full", "device": "cpu", "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=4"}, "train": {"epochs": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with a detector and a classifier, and their names."""
    home = Home.find(tmp_path_factory.mktemp("tools") / "home")
    names = [run_inline(submit(recipes.parse(values), Store(home)), home).checkpoint for values in (SMALL, SORTER)]
    assert all(names)
    return home, *names


@pytest.fixture(scope="module")
def page(made):
    """The page's functions for each tool, by the tool's name."""
    functions = [block.fn for block in build_app(home=made[0]).fns.values() if block.fn is not None]
    by_doc = {function.__doc__: function for function in functions}
    return {tool.name: by_doc[tool.about] for tool in tools()}


def image() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8))


@pytest.fixture
def film(tmp_path):
    pytest.importorskip("av", reason="video needs PyAV (pip install av)")
    with video.Writer(tmp_path / "film.mp4", 10) as writer:
        for _ in range(4):
            writer.write(image())
    return tmp_path / "film.mp4"


def test_the_page_compares_joins_and_watches(page, made, film):
    functions = page
    _, name, _ = made
    remark, drawn, *_ = functions["compare"](REQUEST, name, image(), name)
    assert "Both found" in remark and drawn.visible and drawn.value is not None
    remark, drawn, *_ = functions["look-again"](REQUEST, name, image(), True, "1, 1.5", "wbf", name)
    assert "things were found" in remark and drawn.visible
    remark, _, watched, *_ = functions["watch-film"](REQUEST, name, str(film), 2, True)
    assert "in 2 frames" in remark and watched.visible


def test_a_click_on_the_photo_is_a_point_and_marks_what_looks_alike(page, made):
    functions = page
    _, _, sorter = made
    points = add_point(add_point("", (40, 30)), [7, 8])
    assert points == "40, 30, 7, 8"
    remark, drawn, *_ = functions["click"](REQUEST, sorter, image(), points, "", False)
    assert "% of the photo is marked" in remark and drawn.visible
    with pytest.raises(gr.Error, match="Click on the photo"):
        functions["click"](REQUEST, sorter, image(), "", "", False)


def test_the_page_offers_the_tools_that_fit_the_checkpoint(made):
    home, detector, sorter = made
    names = {
        name: [tool.name for tool in fitting(Store(home).checkpoint(name).manifest)] for name in (detector, sorter)
    }
    assert names == {
        detector: ["answer-folder", "compare", "look-again", "watch-film"],
        sorter: ["answer-folder", "click", "teach", "watch-film"],
    }


def test_the_page_asks_for_what_is_missing(page, made):
    functions = page
    with pytest.raises(Exception, match="Give a photo above first"):
        functions["compare"](REQUEST, made[1], None, made[1])
    with pytest.raises(Exception, match="other"):
        functions["compare"](REQUEST, made[1], image(), "")
    with pytest.raises(Exception, match="Say what the image shows first"):
        functions["teach"](REQUEST, made[2], image(), "")


def test_a_whole_folder_is_answered_as_a_table_with_its_mistakes_to_click_through(page, made):
    functions = page
    remark, _, _, table, kept, mistakes, _ = functions["answer-folder"](REQUEST, made[2], "builtin:digits?per_class=4")
    wrong = int(remark.split()[0])
    assert "of 40 answers are wrong (40 images" in remark and mistakes.visible == bool(wrong)
    assert 0 < wrong == len(mistakes.value)
    assert len(table.value["data"]) == 40 and kept.count("digit-") == 2 * 40 and "text/csv" in kept
    remark, *_, mistakes, _ = functions["answer-folder"](REQUEST, made[1], "builtin:scenes?images=3&size=64")
    assert "3 images were answered" in remark and not mistakes.visible


def test_a_trained_classifier_shows_on_what_its_answer_rests(page, made):
    home = made[0]
    trained = run_inline(submit(recipes.parse(TRAINED), Store(home)), home).checkpoint
    assert "where-it-looks" in [tool.name for tool in fitting(Store(home).checkpoint(trained).manifest)]
    remark, drawn, *_ = page["where-it-looks"](REQUEST, trained, image())
    assert "by Grad-CAM" in remark and drawn.visible and Image.open(drawn.value["path"]).size == (320, 320)


def test_what_is_taught_is_a_new_checkpoint_and_the_old_one_stays(page, made):
    functions = page
    home, _, sorter = made
    before = Store(home).checkpoint(sorter).manifest.classes
    remark, *_, taught = functions["teach"](REQUEST, sorter, image(), " noise ")
    manifest = Store(home).checkpoint(taught).manifest
    assert taught in remark and manifest.classes == sorted([*before, "noise"])
    assert manifest.lineage["parent"] == sorter and Store(home).checkpoint(sorter).manifest.classes == before


def test_the_command_line_has_them_too(made, film, tmp_path, monkeypatch, capsys):
    home, name, sorter = made
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)
    image().save("photo.png")

    def told(*arguments):
        code = cli.main(list(arguments))
        return code, json.loads(capsys.readouterr().out.strip().splitlines()[-1])

    code, rows = told("tools", "--json")
    assert code == 0 and [row["name"] for row in rows] == [
        "adapt-to-film",
        "adapt-to-folder",
        "answer-folder",
        "click",
        "compare",
        "enrol",
        "find-in-folder",
        "follow",
        "forget",
        "look-again",
        "restyle",
        "segment-film",
        "serve",
        "show-classes",
        "teach",
        "watch-film",
        "where-it-looks",
    ]
    code, both = told("tool", "compare", name, "photo.png", "--other", name, "--out", "seen", "--json")
    assert code == 0 and both["first_only"] == 0 and Image.open(both["image"]).width > 80
    code, again = told("tool", "look-again", name, "photo.png", "--mirror", "--scales", "1,1.5", "--json")
    assert code == 0 and again["width"] == 80
    code, seen = told("tool", "watch-film", name, str(film), "--every", "2", "--json")
    assert code == 0 and seen["frames"] == 2 and (tmp_path / seen["film"]).stat().st_size > 0
    code, taught = told("tool", "teach", sorter, "photo.png", "--label", "noise", "--json")
    assert code == 0 and "noise" in taught["classes"] and taught["checkpoint"] != sorter
    for arguments, sentence in (
        (("teach", name, "photo.png", "--label", "noise"), "tools that do: answer-folder, compare"),
        (("teach", sorter, "photo.png", "--label", " "), "A class to teach needs a name"),
        (("watch-flm", name, str(film)), "watch-film"),
        (("compare", sorter, "photo.png", "--other", name), "tools that do: answer-folder, click, teach, watch-film"),
        (("watch-film", name, str(film), "--every", "0"), "every"),
        (("look-again", name, "photo.png", "--fusion", "wbff"), "wbf"),
        (("look-again", name, "no.png"), "no.png"),
    ):
        code = cli.main(["tool", *arguments])
        assert code == 2 and sentence in capsys.readouterr().err, arguments


def test_scripts_use_them_over_the_api(made, tmp_path):
    from gradio_client import Client, handle_file

    home, name, sorter = made
    image().save(tmp_path / "photo.png")
    app = build_app(home=home)
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        client = Client(url, verbose=False)
        photo = handle_file(str(tmp_path / "photo.png"))
        remark, drawn, *_ = client.predict(name, photo, name, api_name="/tool_compare")
        assert "Both found" in remark and drawn
        remark, *_ = client.predict(name, photo, True, "1, 1.5", "", "", api_name="/tool_look_again")
        assert "things were found" in remark
        *_, taught = client.predict(sorter, photo, "noise", api_name="/tool_teach")
        assert "noise" in Store(home).checkpoint(taught).manifest.classes
        with pytest.raises(Exception, match="fcos-nobody"):
            client.predict("fcos-nobody", photo, name, api_name="/tool_compare")
    finally:
        app.close()


def test_a_tool_of_a_task_is_one_class(made, monkeypatch):
    monkeypatch.setattr(registry, "_TOOLS", dict(registry._TOOLS))

    @registry.tool
    class CountClasses(Tool):
        name, title, about = "count-classes", "Count classes", "Says how many classes a checkpoint knows."

        class Inputs(ToolInputs):
            least: int = Field(1, ge=1, description="At least so many")

        def fits(self, manifest):
            return True

        def run(self, checkpoint, inputs, bench):
            return ToolResult({"classes": max(inputs.least, len(bench.model(checkpoint).classes))})

    home, name, _ = made
    bench = Bench(lambda checkpoint, look=None: load_checkpoint(checkpoint, home, "cpu", look), teach_checkpoint)
    tool, checkpoint = tool_named("count-classes"), Store(home).checkpoint(name)
    assert use(tool, checkpoint, {}, bench).facts == {"classes": 2}
    assert described(tool)["inputs"][0]["name"] == "least"
    with pytest.raises(UsageError, match="lest"):
        use(tool, checkpoint, {"lest": 3}, bench)


def test_every_tool_has_its_words_in_both_languages():
    for tool in tools():
        for key in ("", ".about", *(f".{field}" for field in tool.Inputs.model_fields)):
            assert words("zh")[f"tool.{tool.name}{key}"] != words("en")[f"tool.{tool.name}{key}"]


def test_what_is_rendered_for_a_checkpoint_takes_no_event_from_what_was_there(made, monkeypatch):
    """Gradio gives an event of a component to what was rendered last, and to nobody else who listened to it."""
    home, _, sorter = made
    monkeypatch.setattr("studio.ui.pages.tools.fitting", lambda manifest: tools())
    page = build_app(home=home)
    before = {target for event in page.fns.values() for target in event.targets}
    config = SessionState(page).blocks_config
    (rendered,) = config.renderables  # whoever adds another says here what it is given
    token = LocalContext.blocks_config.set(config)
    try:
        rendered.apply(sorter)
    finally:
        LocalContext.blocks_config.reset(token)
    events = [event for event in config.fns.values() if event.rendered_in is rendered]
    assert len(events) > len(tools())
    assert {target for event in events for target in event.targets} & before == set()
