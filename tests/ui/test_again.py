"""What the page offers for detectors below Try it: looking again, comparing, watching a film."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from studio.core import recipe as recipes
from studio.core.home import Home
from studio.data.files import video
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store
from studio.ui import build_app

REQUEST = SimpleNamespace(headers={"accept-language": "en"}, query_params={}, cookies={})
SMALL = {
    "task": "detect", "method": "detect/fcos", "device": "cpu",
    "model": {"image_size": 64, "backbone": "timm/resnet18?random"},
    "data": {"train": "builtin:scenes?images=6&size=64&classes=2"}, "params": {"width": 32, "depth": 1},
    "train": {"epochs": 1, "batch_size": 3},
}  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a home with one detector, its functions by name, and the checkpoint's name."""
    home = Home.find(tmp_path_factory.mktemp("again") / "home")
    result = run_inline(submit(recipes.parse(SMALL), Store(home)), home)
    assert result.status == "finished", result.error
    app = build_app(home=home)
    return app, {one.fn.__name__: one.fn for one in app.fns.values() if one.fn is not None}, result.checkpoint


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8))


def test_two_checkpoints_are_compared_and_joined(page):
    _, functions, name = page
    remark, drawn = functions["again"](name, picture(), False, "1", "", name, "compare", REQUEST)
    assert "Both found" in remark and drawn.visible and drawn.value is not None
    remark, drawn = functions["again"](name, picture(), True, "1, 1.5", "wbf", name, "join", REQUEST)
    assert "things were found" in remark and drawn.visible


def test_a_film_is_watched(page, tmp_path):
    pytest.importorskip("av", reason="video needs PyAV (pip install av)")
    _, functions, name = page
    film = tmp_path / "film.mp4"
    with video.Writer(film, 10) as writer:
        for _ in range(4):
            writer.write(picture())
    remark, shown = functions["look_at_film"](name, str(film), 2, REQUEST)
    assert "in 2 frames" in remark and shown.visible


def test_the_page_has_it(page):
    app, _, _ = page
    names = {getattr(block, "elem_id", None) for block in app.blocks.values()}
    assert {"again", "again-look", "again-other", "again-film", "again-watch"} <= names
