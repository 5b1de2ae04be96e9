"""The script that filters films with nothing of the studio: the same frames, the film's sound and times."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from drawn_films import heard
from inline_runs import work
from PIL import Image
from small_translations import changed

from adapters.translate.film_filter import FilmError, Settings, filter_film, tiled
from adapters.translate.run import views
from studio.core.errors import UsageError
from studio.data.files.video import frames
from studio.runs.export import export_checkpoint
from studio.runs.predict import load_checkpoint
from studio.runs.video import predict_video

SETTINGS = Settings(short_side=32, tile=32, stride=4)
WITHOUT = "import sys; sys.modules.update(torch=None, studio=None, adapters=None); import runpy; sys.argv.pop(0); "


def negative(images: np.ndarray) -> np.ndarray:
    return -images


def shown(path) -> list[np.ndarray]:
    return [np.asarray(frame.image, float) for frame in frames(path)]


@pytest.mark.parametrize("size", [(20, 24), (32, 32), (50, 41), (33, 97)])
def test_its_tiles_are_those_of_the_studio(size) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (1, 3, *size)).astype(np.float32)
    made = tiled(lambda seen: seen * seen.mean(), images, 32, 8)
    expected = views.tiled(lambda seen: seen * seen.mean(), torch.from_numpy(images), 32, 8)
    np.testing.assert_allclose(made, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_film_keeps_its_times_and_its_sound_as_it_is(tmp_path, name) -> None:
    av = pytest.importorskip("av", reason="video needs PyAV (pip install av)")
    film, out = heard(tmp_path / "film.mp4"), tmp_path / name
    assert list(filter_film(film, out, negative, SETTINGS)) == list(range(1, 11))
    for before, after in zip(shown(film), shown(out), strict=True):
        assert np.abs(255 - before - after).mean() < 8
    with av.open(str(film)) as given, av.open(str(out)) as made:
        packets = [[bytes(packet) for packet in part.demux(part.streams.audio[0]) if packet.dts is not None]
                   for part in (given, made)]  # fmt: skip
        assert packets[0] == packets[1]
    times = np.array([frame.time_s for frame in frames(out)])  # an .mkv begins with what AAC needs before it
    assert times - times[0] == pytest.approx(np.arange(10) / 10, abs=2e-3)


def test_what_is_no_film_or_holds_no_such_sound_is_said_in_a_sentence(tmp_path) -> None:
    pytest.importorskip("av", reason="video needs PyAV (pip install av)")
    film = heard(tmp_path / "film.avi", "pcm_u8")
    for given, out, message in (
        (film, "out.mp4", "ends in .mkv"),
        (film, "film.avi", "the film itself"),
        (tmp_path / "missing.mp4", "out.mp4", "missing.mp4 could not be read"),
    ):
        with pytest.raises(FilmError, match=message):
            list(filter_film(given, tmp_path / out, negative, SETTINGS))
    cut = tmp_path / "cut.avi"
    cut.write_bytes(film.read_bytes()[:300])
    with pytest.raises(FilmError):
        list(filter_film(cut, tmp_path / "out.mkv", negative, SETTINGS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.avi", "film.avi"]


@pytest.mark.slow
def test_an_exported_filter_makes_the_films_that_the_checkpoint_makes_without_torch(home, tmp_path) -> None:
    pytest.importorskip("av", reason="video needs PyAV (pip install av)")
    params = {"width": 4, "discriminator_width": 4, "layers": 1}
    values = changed(params=params, train={"max_steps": 1}, eval={"tile": 64, "short_side": 40})
    _, result = work(values, home)
    report = export_checkpoint(result.checkpoint, "film-filter", tmp_path / "filter", home)
    assert report["files"] == ["README.md", "film.json", "film_filter.py", "model.json", "model.onnx"]
    film, out = heard(tmp_path / "film.mp4"), tmp_path / "out.mp4"
    script = str(tmp_path / "filter" / "film_filter.py")
    call = f"{WITHOUT} sys.argv = ['', *sys.argv]; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-c", call, script, str(film), str(out), "--steady", "0.5"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    model = load_checkpoint(result.checkpoint, home, "cpu", {"steady": 0.5})
    predict_video(model, film, tmp_path / "studio.mp4")
    for own, other in zip(shown(out), shown(tmp_path / "studio.mp4"), strict=True):
        assert np.abs(own - other).mean() < 4
    settings = json.loads((tmp_path / "filter" / "film.json").read_text())
    assert settings == {"short_side": 40, "tile": 64, "stride": 8, "strength": 1.0, "steady": 0.0}


def test_what_makes_no_images_has_no_film_filter(home, tmp_path) -> None:
    values = {
        "task": "translate",
        "method": "translate/histogram",
        "data": {"target": "builtin:scenes?images=2&size=64"},
    }
    _, result = work({**values, "device": "cpu"}, home)
    with pytest.raises(UsageError, match="can be shown any style"):
        export_checkpoint(result.checkpoint, "film-filter", tmp_path / "filter", home)


def test_a_frame_comes_back_at_its_own_size() -> None:
    from adapters.translate.film_filter import translated

    assert translated(Image.new("RGB", (75, 41), "red"), negative, SETTINGS).shape == (41, 75, 3)
