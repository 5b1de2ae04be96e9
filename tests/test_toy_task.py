"""A task is one folder: a toy one on the path runs from every door, without one edit elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TOY = Path(__file__).parent / "toy_task"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with images of one and of three squares, a preset, and a home."""
    folder = tmp_path_factory.mktemp("count")
    for count in (1, 3):
        (folder / "images" / str(count)).mkdir(parents=True)
        for number in range(2):
            pixels = np.zeros((32, 32, 3), np.uint8)
            for square in range(count):
                pixels[4 + number : 10, 2 + 10 * square : 8 + 10 * square] = 250
            Image.fromarray(pixels).save(folder / "images" / str(count) / f"{number}.png")
    presets = folder / "home" / "presets"
    presets.mkdir(parents=True)
    (presets / "count-squares.yaml").write_text(
        f"about: Count squares\ntask: count\nmethod: count/blobs\ndata: {{images: 'folder:{folder}/images'}}\n"
    )
    return folder


def python(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that finds the toy's folder on its path."""
    path = os.pathsep.join([str(ROOT), str(TOY)])
    env = {**os.environ, "PYTHONPATH": path, "STUDIO_HOME": str(place / "home"), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def finished(place) -> dict:
    """Its preset, run from the command line."""
    done = python(place, "-m", "studio.cli", "run", "count-squares", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_it_runs_from_its_preset_on_the_command_line(finished):
    assert finished["status"] == "finished" and finished["metrics"]["accuracy"] == 1.0


def test_it_predicts_draws_and_refuses_to_export_what_it_can_not(place, finished):
    image = str(place / "images" / "3" / "0.png")
    arguments = ["predict", finished["checkpoint"], image, "--json", "--out", str(place / "drawn")]
    done = python(place, "-m", "studio.cli", *arguments)
    assert done.returncode == 0 and '"count": 3' in done.stdout, done.stderr
    drawn = [np.asarray(Image.open(file)) for file in (place / "drawn").rglob("*.png")]
    assert any((pixels == (255, 0, 0)).all(axis=2).any() for pixels in drawn)
    arguments = ["export", finished["checkpoint"], "--format", "onnx", "--out", str(place / "out")]
    refused = python(place, "-m", "studio.cli", *arguments)
    assert refused.returncode == 2 and "safetensors only" in refused.stderr


def test_it_runs_from_python_refuses_others_keys_and_is_in_the_docs_and_on_the_page(place):
    done = python(place, "-c", f"""
import runpy
from studio import run
from studio.core import recipe, registry
from studio.core.errors import UsageError
values = {{"task": "count", "method": "count/blobs", "data": {{"images": "folder:{place}/images"}}}}
assert run(values).metrics["accuracy"] == 1.0
try:
    recipe.parse({{**values, "train": {{"mixup": 0.2}}}})
except UsageError as refused:
    assert "it is for task classify" in str(refused)
else:
    raise AssertionError("mixup was taken")
pages = runpy.run_path("docs/make.py")["PAGES"]
assert "## count/blobs" in pages["methods.md"]() and "eval.tolerance" in pages["tasks.md"]()
from studio.ui import build_app, forms
app = build_app()
text = str(app.get_config_file())
assert "count/blobs" in text and "count-squares" in text
""")  # fmt: skip
    assert done.returncode == 0, done.stderr
