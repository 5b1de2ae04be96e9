"""Predictions: few images in memory, none of the user's files touched, and text for every terminal."""

import io
import json
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from studio import cli
from studio.core.answers import Answer
from studio.core.errors import UsageError
from studio.core.procedure import Predictor
from studio.core.stdout import print_json
from studio.runs import predict
from studio.runs.predict import Model, image_files

ROOT = Path(__file__).resolve().parents[2]


class Marked(Answer):
    """An answer that is drawn as a white image."""

    def to_dict(self, topk: int = 5) -> dict:
        return {"label": "seen", "score": 1.0}

    def draw(self, image: Image.Image) -> Image.Image:
        return Image.new("RGB", image.size, "white")


class Watching(Predictor):
    """Counts the images that it is given at once."""

    classes = ["seen"]

    def __init__(self) -> None:
        self.batches: list[int] = []

    def answers(self, images: list[Image.Image]) -> list[Answer]:
        self.batches.append(len(images))
        return [Marked() for _ in images]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    made = Model(SimpleNamespace(id="made-up"), Watching())
    monkeypatch.setattr(predict, "load_checkpoint", lambda *_, **__: made)
    return made


def photo(path: Path, side: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), "teal").save(path)
    return path


def test_large_images_are_looked_at_few_at_a_time_and_small_ones_together(model: Model, monkeypatch) -> None:
    monkeypatch.setattr(predict, "PIXELS", 3 * 100 * 100)
    small, large = Image.new("RGB", (10, 10)), Image.new("RGB", (100, 100))
    rows = model.predict([large] * 7 + [small] * 40)
    assert len(rows) == 47 and model.predictor.batches == [3, 3, 16, 16, 9]


def test_images_are_decoded_only_when_their_turn_comes(model: Model, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(predict, "PIXELS", 400)
    files = [photo(tmp_path / f"{number}.png") for number in range(4)]
    walk = model.look(files)
    next(walk)
    files[3].unlink()
    assert [prediction.to_dict().get("label") for prediction in walk] == ["seen", "seen", None]


@pytest.mark.parametrize(("min_side", "decoded"), [(None, 1024), (32, 128), (100, 256)])
def test_a_classifier_has_large_photos_decoded_as_small_as_it_looks_at_them(
    min_side: int | None, decoded: int, model: Model, tmp_path: Path
) -> None:
    Image.new("RGB", (1024, 1024), "teal").save(tmp_path / "large.jpg")
    model.predictor.min_side = min_side
    (prediction,) = model.look([tmp_path / "large.jpg"])
    assert prediction.image is not None and prediction.image.size == (decoded, decoded)


def test_of_a_folder_of_images_only_words_are_kept(model: Model, tmp_path: Path, monkeypatch, capsys) -> None:
    """Masks and made images of thousands of photos would fill the memory."""
    alive = weakref.WeakSet()

    class Heavy(Marked):
        def __init__(self) -> None:
            assert len(alive) <= 2 * predict.BATCH
            alive.add(self)

    monkeypatch.setattr(model.predictor, "answers", lambda images: [Heavy() for _ in images])
    for number in range(3 * predict.BATCH):
        photo(tmp_path / f"{number:03}.png")
    assert cli.main(["predict", "any", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3 * predict.BATCH and {row["label"] for row in rows} == {"seen"}


def test_drawings_never_go_over_the_images_they_were_made_from(model: Model, tmp_path: Path, capsys) -> None:
    files = [photo(tmp_path / name) for name in ("a.png", "b.jpg", "sub/a.png")]
    before = {file: file.read_bytes() for file in files}
    assert cli.main(["predict", "any", str(tmp_path), "--out", str(tmp_path), "--json"]) == 0
    drawn = [Path(row["drawn"]).name for row in json.loads(capsys.readouterr().out)]
    assert drawn == ["a-2.png", "b.png", "a-3.png"]
    assert {file: file.read_bytes() for file in files} == before


def test_a_second_call_keeps_the_table_of_the_first(model: Model, tmp_path: Path) -> None:
    image, out = photo(tmp_path / "a.png"), tmp_path / "out"
    for _ in range(2):
        assert cli.main(["predict", "any", str(image), "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        "a.png", "a-2.png", "predictions.csv", "predictions-2.csv",
    }  # fmt: skip


def test_files_that_are_no_images_are_named_as_left_out(tmp_path: Path) -> None:
    photo(tmp_path / "a.PNG"), photo(tmp_path / "b.ppm"), photo(tmp_path / ".hidden" / "c.png")
    (tmp_path / "notes.txt").write_text("x")
    files = image_files([tmp_path])
    assert [path.name for path in files.images] == ["a.PNG", "b.ppm"]
    assert "notes.txt" in files.note and "1 in all" in files.note
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match=r"No image was found.*notes\.txt"):
        image_files([tmp_path / "only"])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_json_keeps_every_character_whatever_stdout_takes(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding))
    print_json({"class": "螺母 épinard 🙂"})
    sys.stdout.flush()
    assert json.loads(buffer.getvalue().decode(encoding)) == {"class": "螺母 épinard 🙂"}


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_table_with_other_letters_than_the_terminal_has_is_printed(encoding: str, tmp_path: Path) -> None:
    for name in ("螺母", "épinard"):
        for number in range(2):
            Image.fromarray(np.full((20, 20, 3), 60 * number, np.uint8)).save(
                photo(tmp_path / name / f"{number}.png").with_name(f"{number}.png")
            )
    command = [sys.executable, "-m", "studio.cli", "data", "check", f"folder:{tmp_path}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, env=_environment(encoding, tmp_path))
    assert ended.returncode == 0, ended.stderr.decode(errors="replace")
    assert "??" in ended.stdout.decode(encoding)


def _environment(encoding: str, home: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONIOENCODING": encoding, "STUDIO_HOME": str(home / "home")}
